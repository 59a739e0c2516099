"""Benchmark of training steps: sessions that time steps, write nothing, and end."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from torch import Tensor

from benchdog.errors import BadUsage, Stopped
from benchdog.runs.run import Run
from benchdog.training import torch_settings
from benchdog.training.progress import silent
from benchdog.training.rank import staged
from benchdog.training.session import Session
from benchdog.training.setup import Components, rebuilt

MEASURED = 6.0
"""Seconds of steps that are measured."""
WARM_UP = 5
"""Steps before the clock is started: the first ones choose their algorithms and fill caches."""
STALL, STALLS = 1.0, 20
"""Seconds, and multiples of a quick step, from which a step counts as stalled: something was compiled in it."""


class Enough(Exception):
    """Enough steps were done."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StepTimes:
    """Seconds of training steps and of an evaluation.

    Attributes:
        step: mean of a step, without those that stalled.
        quick: the 10th percentile of a step.
        evaluation: of the validation split.
        first: what the first steps, and those that stalled, took longer than others; a model is compiled there.
    """

    step: float
    quick: float
    evaluation: float
    first: float


class TimedSession(Session):
    """A session that times steps and, if it is to evaluate, one evaluation, writes nothing, and ends by `Enough`."""

    writes = False
    evaluates = True
    limit = MEASURED
    times: StepTimes

    def checkpoint(self) -> None:
        """Write nothing."""

    def step_done(self, loss: Tensor, weight: float | Tensor, /) -> None:
        """Count a step; after enough of them, time an evaluation and end."""
        super().step_done(loss, weight)
        if self.step == WARM_UP:
            float(loss.detach())
            self._ticks = [time.perf_counter()]
        elif self.step > WARM_UP:
            float(loss.detach())  # a synchronization point: only then is the device's work done
            self._ticks.append(time.perf_counter())
            if self._ticks[-1] - self._ticks[0] > self.limit or self.step == self.total_steps:
                self._evaluate_and_summarize()
                raise Enough

    def _evaluate_and_summarize(self) -> None:
        ticks, begun, evaluation = self._ticks, time.perf_counter(), 0.0
        if self.evaluates:
            self.evaluate("valid")
            evaluation = time.perf_counter() - begun
        spans = sorted(b - a for a, b in pairwise(ticks))
        quick = spans[len(spans) // 10]  # other work of the machine makes the others longer
        usual = [span for span in spans if span < max(STALL, STALLS * quick)]
        first = max(0.0, ticks[0] - self._begun - WARM_UP * quick) + sum(spans) - sum(usual)
        self.times = StepTimes(step=sum(usual) / len(usual), quick=quick, evaluation=evaluation, first=first)


@contextmanager
def rehearsal(components: Components) -> Iterator[dict[str, Any]]:
    """Yield the arguments of sessions in a run's folder that is removed afterwards."""
    with TemporaryDirectory() as folder, torch_settings.restored():
        run = Run(Path(folder), {"name": "rehearsed"})
        (run.folder / "checkpoints").mkdir()
        with staged(run, components) as arguments:
            yield arguments


def measure_training(components: Components) -> StepTimes:
    """Time steps and an evaluation, and leave nothing behind.

    Raises:
        BadUsage: the run has too few steps, or no known number of them, or its trainer does none.
    """
    components = rebuilt(components)
    with rehearsal(components) as arguments:
        return measure_steps(components, arguments, MEASURED, evaluates=True)


def measure_steps(
    components: Components, arguments: Mapping[str, Any], seconds: float, evaluates: bool = False
) -> StepTimes:
    """Time steps for so many seconds, on data that `rehearsal` put in its place.

    Args:
        components: whose trainer trains.
        arguments: that `rehearsal` yields.
        seconds: of steps.
        evaluates: whether an evaluation is timed too.
    """
    session = TimedSession(model=components.build(), progress=silent(), **arguments)
    session.evaluates, session.limit = evaluates, seconds
    try:
        components.trainer.train(session)
    except Enough:
        return session.times
    except Stopped as stopped:
        raise Stopped("Stopped while measuring.", "", stopped.code) from None
    finally:
        session.close()
    raise BadUsage(
        f"Trainer {components.recipe.trainer.name!r} does too few steps to be measured.",
        "Set --epochs in place of --time.",
    )
