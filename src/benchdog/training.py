"""One rank's training: its hardware, its data there, a session, the trainer."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from torch import Tensor, nn

from benchdog import checkpoints, prints
from benchdog.api import Backend, Trained, Trainer
from benchdog.data import Feed
from benchdog.errors import BadUsage, Stopped
from benchdog.logbook import NotFinite
from benchdog.progress import Progress
from benchdog.replay import Replay, diverged
from benchdog.run import Run
from benchdog.session import Session
from benchdog.settle import Parts, again
from benchdog.signals import Signals

MEASURED = 6.0
"""Seconds given to measuring steps."""
WARM = 5
"""Steps before the clock is started: the first ones find their algorithms and fill caches."""


@contextmanager
def staged(run: Run, parts: Parts, rank: int = 0, world: int = 1) -> Iterator[dict[str, Any]]:
    """Open a rank's hardware, bring the data there, fit what is fitted; yield what a session is made of."""
    recipe = parts.recipe
    backend: Backend = parts.plugins.make("backend", recipe.backend.name, recipe.backend.options)
    device = backend.open(rank, world)
    try:
        if parts.data.fits(recipe.loader.memory):
            for name in ("train", "valid"):
                parts.data.load(name)
            if rank == 0:
                prints.keep(run.folder, parts.data)
        parts.fit(run.folder)
        transform = parts.transform.to(device.torch_device)
        parts.data.settle(transform, device, raw=("train",) if parts.augment else ())
        with Signals() as signals:
            yield {
                "run": run,
                "recipe": recipe,
                "feed": Feed(parts.data, recipe, transform, device, parts.augment),
                "task": parts.task,
                "spec": parts.spec,
                "plugins": parts.plugins,
                "facts": parts.facts(run),
                "signals": signals,
            }
    finally:
        device.close()


def train_rank(
    run: Run, parts: Parts, *, rank: int = 0, world: int = 1, quiet: bool = False
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
            raise diverged(error, trainer_of(parts), watched, kept, session.epoch + 1) from None
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


def trainer_of(parts: Parts) -> Trainer:
    """Make the recipe's trainer."""
    trainer: Trainer = parts.plugins.make("trainer", parts.recipe.trainer.name, parts.recipe.trainer.options)
    return trainer


def still() -> Progress:
    """Give a progress that shows nothing."""
    return Progress(0, 0, quiet=True)


class Enough(Exception):
    """The steps were measured."""


class Measured(Session):
    """A session that times steps and one evaluation, writes nothing, and ends."""

    writes = False
    step_seconds = evaluation_seconds = 0.0

    def checkpoint(self) -> None:
        """Write nothing."""

    def step_done(self, loss: Tensor, weight: float | Tensor, /) -> None:
        """Count a step; after enough of them, time an evaluation and end."""
        super().step_done(loss, weight)
        if self.step == WARM:
            float(loss.detach())
            self._clock = time.perf_counter()
        elif self.step > WARM:
            float(loss.detach())  # a device's work is done only then
            spent = time.perf_counter() - self._clock
            if spent > MEASURED or self.step == self.total_steps:
                self.step_seconds = spent / (self.step - WARM)
                begun = time.perf_counter()
                self.evaluate("valid")
                self.evaluation_seconds = time.perf_counter() - begun
                raise Enough


def measure(parts: Parts) -> tuple[float, float]:
    """Give the seconds of a training step and of an evaluation; nothing of it stays.

    Raises:
        BadUsage: the run has too few steps, or no known number of them, or its trainer does none.
    """
    parts = again(parts)
    with TemporaryDirectory() as place:
        run = Run(Path(place), {"name": "measured"})
        (run.folder / "checkpoints").mkdir()
        with staged(run, parts) as given:
            session = Measured(model=parts.build(), progress=still(), **given)
            try:
                trainer_of(parts).train(session)
            except Enough:
                return session.step_seconds, session.evaluation_seconds
            except Stopped as stopped:
                raise Stopped("Stopped while measuring.", "", stopped.code) from None
            finally:
                session.close()
    raise BadUsage(
        f"Trainer {parts.recipe.trainer.name!r} does too few steps to be measured.",
        "Give --epochs in place of --time.",
    )
