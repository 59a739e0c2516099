"""Where a run stands: what of it goes into a checkpoint, and comes back on a resume."""

from __future__ import annotations

import sys
import time
from functools import partial
from typing import Any

from torch import nn

from benchdog.api import Device, RunFacts
from benchdog.errors import BadData, BadUsage
from benchdog.plugins import Plugins
from benchdog.recipe.recipe import Recipe
from benchdog.recipe.resolved import check_unchanged, resume_invariants
from benchdog.runs.checkpoints import Checkpoints
from benchdog.runs.metrics_log import MetricsLogWriter, NotFinite
from benchdog.runs.run import Run
from benchdog.runs.state import snapshot
from benchdog.training.early_stopping import EarlyStopping


class Standing:
    """The half of a session that is kept: (epoch, batch within it, step), weights, log, and what trainers track."""

    run: Run
    recipe: Recipe
    plugins: Plugins
    facts: RunFacts
    model: nn.Module
    device: Device
    epoch: int
    step: int
    _batch: int
    _place: dict[str, Any] | None
    _tracked: dict[str, Any]
    _best: EarlyStopping
    _best_model: Any
    _elapsed: float
    _begun: float
    _saved_at: float
    _ranks: list[dict[str, int]]
    _leader: bool
    _checkpoints: Checkpoints
    _restored: dict[str, Any]
    _log: MetricsLogWriter

    def _restore(self) -> dict[str, Any]:
        """Go back to the newest checkpoint, if there is one."""
        stored, passed = self._checkpoints.newest()
        for line in passed:
            if self._leader:
                self._tell(f"passed over: {line}")
        if stored is None:
            if passed:
                again = f"benchdog train {self.run.folder / 'recipe.toml'}"
                raise BadData(f"All {len(passed)} checkpoints of this run are damaged.", f"Begin again: {again}")
            return {}
        check_unchanged(stored.get("recipe"), self.recipe, self.run.folder)
        self.epoch, self.step, self._batch = stored["epoch"], stored["step"], stored["batch"]
        self._place, self._elapsed = stored["place"], stored["elapsed"]
        self._ranks = list(stored.get("ranks", self._ranks))
        self._best.load_state_dict(stored["best"])
        self.model.load_state_dict(stored["model"])
        return dict(stored)

    def _tell(self, line: str) -> None:
        """Tell a person, and the run's log, of damage."""
        self.run.log(line)
        print(f"note: {line}", file=sys.stderr, flush=True)

    def _note_ranks(self) -> None:
        """Write down that a run goes on with another number of ranks than it had."""
        world = self.device.world
        if self._ranks[-1]["ranks"] != world:
            self._ranks.append({"step": self.step, "ranks": world})
            self._log.line(kind="ranks", step=self.step, ranks=world)
        if self._leader and len(self._ranks) > 1:
            self.run.facts["ranks"] = self._ranks

    def track(self, **stateful: Any) -> None:
        """Name what a resume needs; on a resume it is restored here."""
        for name, thing in stateful.items():
            if not hasattr(thing, "state_dict") or not hasattr(thing, "load_state_dict"):
                raise BadUsage(f"The trainer tracks {name!r}, which has no state_dict and load_state_dict.")
            self._tracked[name] = thing
            if self._restored:
                if name not in self._restored["tracked"]:
                    raise BadUsage(f"The checkpoint holds nothing for {name!r}, which the trainer tracks.")
                thing.load_state_dict(self._restored["tracked"][name])
        if self._restored:
            self.device.load_state_dict(self._restored["device"])

    def checkpoint(self) -> None:
        """Write where the run stands; the loop goes on while it is written."""
        self._saved_at = time.perf_counter()
        if not self._leader:
            return
        self._log.check(self.step)
        for name, parameter in self.model.named_parameters():  # a loss may be the last to show it
            if not bool(parameter.isfinite().all()):
                raise NotFinite(self.step, f"The weight {name!r} is not a finite number")
        tree = {
            "recipe": resume_invariants(self.recipe, self.run.folder),
            "epoch": self.epoch,
            "step": self.step,
            "batch": self._batch,
            "place": self._place,
            "best": self._best.state_dict(),
            "elapsed": self.seconds,
            "ranks": self._ranks,
            "log": self._log.state_dict(),
            "model": self.model.state_dict(),
            "tracked": {name: thing.state_dict() for name, thing in self._tracked.items()},
            "device": self.device.state_dict(),
        }
        best, self._best_model = self._best_model, None
        saved = partial(self.plugins.emit, "benchdog_checkpoint_saved", run=self.facts, step=self.step)
        self._checkpoints.write(self.step, snapshot(tree), best, lambda path: saved(path=str(path)))

    @property
    def seconds(self) -> float:
        """Seconds of training, those before a stop included."""
        return self._elapsed + time.perf_counter() - self._begun
