"""One rank's training: its hardware, its data there, a session, the trainer."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from inspect import signature
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from torch import Tensor, nn

from benchdog.api import Backend, CheckedTrainer, Trained, Trainer, Trial
from benchdog.data import sample_weights
from benchdog.data.loader import BatchLoader
from benchdog.errors import BadUsage, NotAvailable, Stopped
from benchdog.model.layer_groups import stages
from benchdog.recipe.recipe import with_options
from benchdog.runs import checkpoints, fingerprints, provenance
from benchdog.runs.metrics_log import NotFinite
from benchdog.runs.run import Run
from benchdog.system import paths
from benchdog.system.signals import Signals
from benchdog.training.diagnose_nan import Replay, diverged
from benchdog.training.progress import Progress
from benchdog.training.session import Session
from benchdog.training.setup import Components, fitted, rebuilt

MEASURED = 6.0
"""Seconds given to measuring steps."""
WARM = 5
"""Steps before the clock is started: the first ones find their algorithms and fill caches."""
STALL, STALLS = 1.0, 20
"""Seconds of a step, and times that the quick ones go into it, from which it isn't counted as a step."""


@contextmanager
def staged(run: Run, parts: Components, rank: int = 0, world: int = 1) -> Iterator[dict[str, Any]]:
    """Open a rank's hardware, bring the data there, fit what is fitted; yield what a session is made of."""
    recipe = parts.recipe
    if recipe.trainer.options.get("compile") == "yes":  # its programs lie with the user's own files, not in /tmp
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(paths.cache_dir() / "compiled"))
    backend: Backend = parts.plugins.make("backend", recipe.backend.name, recipe.backend.options)
    device = backend.open(rank, world)
    try:
        if parts.data.fits(recipe.loader.memory):
            for name in ("train", "valid"):
                parts.data.load(name)
        going_on = fitted(run.folder)
        parts.fit(run.folder)
        if rank == 0:
            if going_on:
                provenance.same_samples(run, parts.data)
            fingerprints.keep(run.folder, parts.data)
        transform = parts.transform.to(device.torch_device)
        parts.data.to_device(transform, device, raw=("train",) if parts.augment else ())
        with Signals() as signals:
            yield {
                "run": run,
                "recipe": recipe,
                "feed": BatchLoader(parts.data, recipe, transform, device, parts.augment),
                "task": parts.task,
                "spec": parts.spec,
                "plugins": parts.plugins,
                "facts": parts.facts(run),
                "signals": signals,
                "watcher": parts.watcher,
            }
    finally:
        device.close()


def train_rank(
    run: Run, parts: Components, *, rank: int = 0, world: int = 1, quiet: bool = False
) -> tuple[Trained | None, nn.Module]:
    """Train on one rank; give what the trainer returned if that is no module, and the session's model."""
    recipe = parts.recipe
    with staged(run, parts, rank, world) as given:
        model = parts.build()
        session = Session(model=model, progress=Progress(recipe.loop.epochs, recipe.loop.batch, quiet), **given)
        try:
            trained = trainer_of(parts).train(session)
            if isinstance(trained, nn.Module):
                session.result(trained)
            session.finish()
        except NotFinite as error:
            session.close()
            if not quiet:
                print(f"{error.what} at step {error.step}; going there again to see why", file=sys.stderr, flush=True)
            kept = bool(checkpoints.Checkpoints(run.folder / "checkpoints", recipe.loop.keep).all())
            watched = None if world > 1 else Replay(watch=error.step, model=parts.build(), progress=still(), **given)
            how = ""
            if recipe.trainer.options.get("compile") == "yes":  # a program's inner values can't be looked at
                parts.recipe, how = with_options(recipe, compile="no"), "Without compiling: "
            raise diverged(error, trainer_of(parts), watched, kept, session.epoch + 1, how) from None
        except RuntimeError as error:
            raise repeatable(error, recipe.backend.name) or error from None
        finally:
            session.close()
    if isinstance(trained, nn.Module):
        return None, model
    if isinstance(trained, Trained):
        return trained, model
    raise BadUsage(
        f"Trainer {recipe.trainer.name!r} returned a {type(trained).__name__}.",
        "train(session) returns the module, or an object with runner, save and __call__.",
    )


def repeatable(error: RuntimeError, backend: str) -> NotAvailable | None:
    """Explain torch's refusal of an operation that doesn't give the same bits twice; None for other errors."""
    name, found, _ = str(error).partition(" does not have a deterministic implementation")
    if not found:
        return None
    return NotAvailable(
        f"The operation {name} doesn't give the same bits twice on {backend!r}, so the run couldn't be repeated.",
        "Set backend.deterministic = false, which the run's recipe keeps, or use --backend cpu.",
    )


def trainer_of(parts: Components) -> Trainer:
    """Make the recipe's trainer; BadUsage when the data has weights that it doesn't honour."""
    part = parts.recipe.trainer
    trainer: Trainer = parts.plugins.make("trainer", part.name, part.options)
    if parts.data.weighted:
        sample_weights.check_trainer(part.name, trainer)
    return trainer


def check_trainer(parts: Components, model: nn.Module) -> None:
    """Let the trainer see before a run is made whether its options can work; the model isn't used afterwards."""
    trainer = trainer_of(parts)
    if not isinstance(trainer, CheckedTrainer):
        return
    count, loop = parts.data.sizes()["train"], parts.recipe.loop
    steps = None if count is None else -(-count // loop.batch) * loop.epochs
    trial = Trial(model=model, stages=stages(model), steps=steps, task=parts.task)
    try:
        signature(trainer.check).bind(trial)
    except TypeError as error:
        raise BadUsage(
            f"Trainer {parts.recipe.trainer.name!r}: its check can't be called as check(trial): {error}.",
            "Its author writes check(self, trial); trial has model, stages, steps and task.",
        ) from None
    trainer.check(trial)


def still() -> Progress:
    """Give a progress that shows nothing."""
    return Progress(0, 0, quiet=True)


class Enough(Exception):
    """The steps were measured."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Measurement:
    """Seconds of a training step (their mean, and what a tenth of them stays below), of an evaluation, and before.

    `first` is what the first steps, and those that stalled, took longer than others: there a model is compiled.
    """

    step: float
    quick: float
    evaluation: float
    first: float


class Measured(Session):
    """A session that times steps and, if it is to judge, one evaluation, writes nothing, and ends."""

    writes = False
    judges = True
    enough = MEASURED
    found: Measurement

    def checkpoint(self) -> None:
        """Write nothing."""

    def step_done(self, loss: Tensor, weight: float | Tensor, /) -> None:
        """Count a step; after enough of them, time an evaluation and end."""
        super().step_done(loss, weight)
        if self.step == WARM:
            float(loss.detach())
            self._ticks = [time.perf_counter()]
        elif self.step > WARM:
            float(loss.detach())  # a device's work is done only then
            self._ticks.append(time.perf_counter())
            if self._ticks[-1] - self._ticks[0] > self.enough or self.step == self.total_steps:
                self._measured()
                raise Enough

    def _measured(self) -> None:
        ticks, begun, evaluation = self._ticks, time.perf_counter(), 0.0
        if self.judges:
            self.evaluate("valid")
            evaluation = time.perf_counter() - begun
        spans = sorted(b - a for a, b in pairwise(ticks))
        quick = spans[len(spans) // 10]  # what else a machine does makes the others longer
        usual = [span for span in spans if span < max(STALL, STALLS * quick)]  # in the rest something was compiled
        first = max(0.0, ticks[0] - self._begun - WARM * quick) + sum(spans) - sum(usual)
        self.found = Measurement(step=sum(usual) / len(usual), quick=quick, evaluation=evaluation, first=first)


@contextmanager
def rehearsed(parts: Components) -> Iterator[dict[str, Any]]:
    """Yield what sessions are made of that leave nothing behind."""
    with TemporaryDirectory() as place:
        run = Run(Path(place), {"name": "rehearsed"})
        (run.folder / "checkpoints").mkdir()
        with staged(run, parts) as given:
            yield given


def measure(parts: Components) -> Measurement:
    """Time steps and an evaluation; nothing of it stays.

    Raises:
        BadUsage: the run has too few steps, or no known number of them, or its trainer does none.
    """
    parts = rebuilt(parts)
    with rehearsed(parts) as given:
        return measure_steps(parts, given, MEASURED, judges=True)


def measure_steps(parts: Components, given: Mapping[str, Any], seconds: float, judges: bool = False) -> Measurement:
    """Time steps for so many seconds with what `rehearsed` gave, on data that is there already."""
    session = Measured(model=parts.build(), progress=still(), **given)
    session.judges, session.enough = judges, seconds
    try:
        trainer_of(parts).train(session)
    except Enough:
        return session.found
    except Stopped as stopped:
        raise Stopped("Stopped while measuring.", "", stopped.code) from None
    finally:
        session.close()
    raise BadUsage(
        f"Trainer {parts.recipe.trainer.name!r} does too few steps to be measured.",
        "Give --epochs in place of --time.",
    )
