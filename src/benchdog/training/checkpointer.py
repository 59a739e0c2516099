"""Checkpoints of a session: the newest is restored, with the state of tracked objects, and new ones are written."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from torch import nn

from benchdog.api import Device, RunFacts
from benchdog.errors import BadData, BadUsage
from benchdog.plugins import Plugins
from benchdog.recipe.recipe import Recipe
from benchdog.recipe.resolved import check_unchanged, data_places, resume_invariants
from benchdog.runs.checkpoints import Checkpoints
from benchdog.runs.metrics_log import NotFinite
from benchdog.runs.run import Run
from benchdog.runs.state import snapshot
from benchdog.training.progress import say


class Checkpointer:
    """Reads and writes what a resume needs; the weights of the best epoch are written with the next checkpoint.

    Attributes:
        restored: the newest checkpoint, {} if there was none.
        tracked: what the trainer named.
        leader: whether this rank writes.
    """

    def __init__(self, run: Run, recipe: Recipe, plugins: Plugins, facts: RunFacts, leader: bool) -> None:
        self.run, self.recipe, self.plugins, self.facts, self.leader = run, recipe, plugins, facts, leader
        self.tracked: dict[str, Any] = {}
        self._best: Any = None
        self._files = Checkpoints(run.folder / "checkpoints", recipe.loop.keep)
        self.restored = self._newest()

    def _newest(self) -> dict[str, Any]:
        """Read the newest checkpoint that isn't damaged; {} if there is none yet.

        Raises:
            BadData: all are damaged.
            BadUsage: the recipe was changed since.
        """
        stored, damaged = self._files.newest()
        for line in damaged:
            self.warn(f"skipped: {line}")
        if stored is None:
            if damaged:
                again = f"benchdog train {self.run.folder / 'recipe.toml'}"
                raise BadData(f"All {len(damaged)} checkpoints of this run are damaged.", f"Train again: {again}")
            return {}
        places = data_places(self.recipe, self.plugins)
        check_unchanged(stored.get("recipe"), self.recipe, self.run.folder, places)
        return dict(stored)

    def warn(self, line: str) -> None:
        """Print a note on damage, and write it into the run's log."""
        if self.leader:
            self.run.log(line)
            say(f"note: {line}")

    def track(self, name: str, thing: Any) -> None:
        """Keep an object whose state is checkpointed; on a resume its state is loaded.

        Raises:
            BadUsage: it has no state_dict and load_state_dict, or the checkpoint has no state for it.
        """
        if not hasattr(thing, "state_dict") or not hasattr(thing, "load_state_dict"):
            raise BadUsage(f"The trainer tracks {name!r}, which has no state_dict and load_state_dict.")
        self.tracked[name] = thing
        if self.restored:
            if name not in self.restored["tracked"]:
                raise BadUsage(f"The checkpoint has no state for {name!r}, which the trainer tracks.")
            thing.load_state_dict(self.restored["tracked"][name])

    def restore_device(self, device: Device) -> None:
        """Load a device's state, on a resume."""
        if self.restored:
            device.load_state_dict(self.restored["device"])

    def keep_best(self, weights: Mapping[str, Any], facts: Mapping[str, Any] | None) -> None:
        """Keep a copy of the best epoch's weights until the next checkpoint."""
        self._best = snapshot({"model": weights, "best": facts})

    def write(self, step: int, position: Mapping[str, Any], model: nn.Module, device: Device) -> None:
        """Write a checkpoint in the background.

        Raises:
            NotFinite: a weight isn't finite; the loss may be the last to show it.
        """
        for name, parameter in model.named_parameters():
            if not bool(parameter.isfinite().all()):
                raise NotFinite(step, f"The weight {name!r} is not a finite number")
        tree = {
            "recipe": resume_invariants(self.recipe, self.run.folder),
            **position,
            "model": model.state_dict(),
            "tracked": {name: thing.state_dict() for name, thing in self.tracked.items()},
            "device": device.state_dict(),
        }
        best, self._best = self._best, None
        emit = partial(self.plugins.emit, "benchdog_checkpoint_saved", run=self.facts, step=step)
        self._files.write(step, snapshot(tree), best, lambda path: emit(path=str(path)))

    def wait(self) -> None:
        """Wait until the checkpoints are on disk."""
        self._files.wait()
