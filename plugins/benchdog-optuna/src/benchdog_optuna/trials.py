"""A trial, carried out as a run: begun, gone on with, or found finished, and its result told to the study."""

from __future__ import annotations

import gc
import math
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchdog import pipeline
from benchdog.errors import BenchdogError, Failed, Stopped
from benchdog.evaluation.report.facts import read
from benchdog.plugins import Plugins
from benchdog.recipe.resolved import read_resolved
from benchdog.runs.run import Run
from benchdog.system import files
from benchdog_optuna.folder import LEFT, Folder, trial_of
from benchdog_optuna.pruning import Pruning

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.trial import FrozenTrial

FEW = 20
"""Combinations of values that are tried in their order where no number of trials is given."""
WORKER = "process"
"""The attribute of a trial that names the process which carries it out."""


@dataclass(frozen=True, slots=True)
class Limits:
    """When no further trial begins: `trials` in all (0: any number), `until` by the clock (0: never)."""

    trials: int
    until: float


class Trials:
    """Carries out trials of a study in this process, one after another.

    Args:
        folder: the study, held by this process or the one that started it.
        plugins: those of its recipe.
        plugins_of: finds plugins anew, for a run that goes on.
        limits: when to end.
        tell: hears of each trial that is done.
    """

    def __init__(
        self,
        folder: Folder,
        plugins: Plugins,
        plugins_of: Callable[[tuple[str, ...]], Plugins],
        limits: Limits,
        tell: Callable[[Study, FrozenTrial], None],
    ) -> None:
        self.folder, self.plugins, self.plugins_of = folder, plugins, plugins_of
        self.limits, self.tell = limits, tell
        self.study = folder.study()

    def work(self) -> None:
        """Carry out trials until a limit is reached.

        Raises:
            Stopped: a signal ended a trial; it is left for a resume.
        """
        while (found := self._next()) is not None:
            trial, values, known = found
            self._carry_out(trial, values, known)
            done = self.study.get_trials(deepcopy=False)[trial.number]
            self.tell(self.study, done)

    def _next(self) -> tuple[Trial, dict[str, Any], Mapping[int, float]] | None:
        """Take a trial that was left behind, else begin one, if there is to be another."""
        from optuna.trial import TrialState

        with self.folder.asking():
            there = self.study.get_trials(deepcopy=False)
            running = [old for old in there if old.state is TrialState.RUNNING]
            if left := next((old for old in running if old.user_attrs.get(LEFT)), None):
                self.study.sampler = self.folder.sampler(left.number)
                trial = trial_of(self.study, left)
                trial.set_user_attr(LEFT, False)
                # a kill may have come between two of its values
                return trial, self._begun(trial), left.intermediate_values
            begun = [old for old in there if old.state is not TrialState.WAITING]
            if self.limits.trials and len(begun) >= self.limits.trials:
                return None
            if self.limits.until and time.time() >= self.limits.until:
                return None
            if (untried := self._untried(begun)) is not None:
                if not untried:
                    return None
                if len(begun) == len(there):  # nothing waits that was put there
                    self.study.enqueue_trial(untried[0])
            self.study.sampler = self.folder.sampler(len(begun))
            trial = self.study.ask()
            return trial, self._begun(trial), {}

    def _untried(self, begun: Sequence[FrozenTrial]) -> list[dict[str, Any]] | None:
        """Give the combinations of values that no trial has had; None where there are too many to try all.

        A recipe and its seed give the same bits twice, so a second trial of the same values tells nothing.
        """
        space = self.folder.space
        every = space.combinations(self.limits.trials or FEW)
        if every is None:
            return None
        had = [space.of(old.params) for old in begun]
        return [{key: space[key].stored(value) for key, value in each.items()} for each in every if each not in had]

    def _begun(self, trial: Trial) -> dict[str, Any]:
        """Take a trial for this process and choose its values."""
        trial.set_user_attr(WORKER, os.getpid())
        return self.folder.space.suggest(trial)

    def _carry_out(self, trial: Trial, values: Mapping[str, Any], known: Mapping[int, float]) -> None:
        """Train, and tell the study how it went; what fails is a failed trial, not the end of the study."""
        from optuna.trial import TrialState

        watcher = Pruning(trial, f"valid.{self.folder.monitor}", known)
        try:
            run = self._trained(trial.number, values, watcher)
            value = result(run, self.folder.monitor)
            self._see_alike(run)
            epochs, wanted = int(run.facts["epochs_done"]), read_resolved(run.folder).loop.epochs
        except (Stopped, KeyboardInterrupt):
            raise
        except Exception as error:
            if os.environ.get("BENCHDOG_STRICT") == "1":
                raise
            text = error.message if isinstance(error, BenchdogError) else f"{type(error).__name__}: {error}"
            fail(self.study, trial, " ".join(text.split())[:500])
        else:
            trial.set_user_attr("epochs", epochs)
            pruned = bool(watcher.reason) and epochs < wanted
            if pruned:
                self.study.tell(trial, state=TrialState.PRUNED)
            else:
                self.study.tell(trial, value)
        gc.collect()  # a model that is gone frees its device for the next

    def _see_alike(self, run: Run) -> None:
        """See that a trial was judged on the samples that the earlier ones were judged on.

        Raises:
            Failed: it wasn't, so that its value can't be ranked among theirs.
        """
        from optuna.trial import TrialState

        done = [old for old in self.study.get_trials(deepcopy=False) if old.state is TrialState.COMPLETE]
        if done:
            first = self.folder.run_of(done[0].number)
            was, mine = (read(folder).held_out("valid") for folder in (first, run.folder))
            if was and was != mine:
                raise Failed(f"It was judged on other samples than {first.name}: the data or its split is another.")

    def _trained(self, number: int, values: Mapping[str, Any], watcher: Pruning) -> Run:
        """Give the trial's finished run: made, gone on with, or found."""
        place = self.folder.run_of(number)
        if (place / "recipe.toml").is_file():
            before = Run.open(place).facts
            if before["status"] == "failed":
                raise Failed(str(before["error"]))
            return pipeline.resume(place, self.plugins_of, quiet=True, watcher=watcher)
        if place.exists():  # killed before its recipe was written
            shutil.rmtree(place)
        draft = self.folder.draft(values, self.plugins, f"trial {number}")
        return pipeline.train(draft, self.folder.path, name=place.name, quiet=True, watcher=watcher)


def result(run: Run, monitor: str) -> float:
    """Give the metric by which a finished run is judged: its best epoch's, on the validation split.

    Raises:
        Failed: it is not a number.
    """
    best = run.facts.get("best") or {}
    value = best.get("value")
    if value is None:  # a trainer without epochs
        value = files.read_json(run.folder / "evaluation-valid.json")["metrics"].get(monitor)
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise Failed(f"valid.{monitor} is {value}, not a number.")
    return float(value)


def fail(study: Study, trial: Trial, why: str) -> None:
    """Write down that a trial failed."""
    from optuna.trial import TrialState

    trial.set_user_attr("error", why)
    study.tell(trial, state=TrialState.FAIL)
