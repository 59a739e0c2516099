"""Trials: each is trained as a run, or resumed, and its result reported to the study."""

from __future__ import annotations

import gc
import math
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchdog import TrainedRun
from benchdog.api import BenchdogError, Failed, Stopped
from benchdog_optuna.pruning import Pruning
from benchdog_optuna.results import LOSS
from benchdog_optuna.study_folder import ABANDONED, StudyFolder, trial_of

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.trial import FrozenTrial

GRID = 20
"""Most combinations of values that are tried exhaustively when no number of trials is given."""
WORKER = "process"
"""User attribute of a trial: the process that trains it."""


@dataclass(frozen=True, slots=True)
class Limits:
    """When no more trials start: after `trials` in all (0: no limit), or at the time `until` (0: never)."""

    trials: int
    until: float


class Trials:
    """Runs trials of a study in this process, one after another.

    Args:
        folder: the study, locked by this process or its parent.
        limits: when to stop.
        callback: called with each finished trial.
    """

    def __init__(self, folder: StudyFolder, limits: Limits, callback: Callable[[Study, FrozenTrial], None]) -> None:
        self.folder, self.limits, self.callback = folder, limits, callback
        self.study = folder.study()

    def run(self) -> None:
        """Run trials until a limit is reached.

        Raises:
            Stopped: a signal ended a trial, which a resume will continue.
        """
        while (started := self._next()) is not None:
            trial, values, reported = started
            self._run_trial(trial, values, reported)
            self.callback(self.study, self.study.get_trials(deepcopy=False)[trial.number])

    def _next(self) -> tuple[Trial, dict[str, Any], Mapping[int, float]] | None:
        """Take over an abandoned trial, else start one within the limits: the trial, its values, epochs reported."""
        from optuna.trial import TrialState

        with self.folder.asking():
            trials = self.study.get_trials(deepcopy=False)
            running = [old for old in trials if old.state is TrialState.RUNNING]
            if abandoned := next((old for old in running if old.user_attrs.get(ABANDONED)), None):
                self.study.sampler = self.folder.sampler(abandoned.number)
                trial = trial_of(self.study, abandoned)
                trial.set_user_attr(ABANDONED, False)
                # a kill may have come between two suggestions: those that are missing are drawn now
                return trial, self._suggest(trial), abandoned.intermediate_values
            started = [old for old in trials if old.state is not TrialState.WAITING]
            if self.limits.trials and len(started) >= self.limits.trials:
                return None
            if self.limits.until and time.time() >= self.limits.until:
                return None
            if (untried := self._untried(started)) is not None:
                if not untried:
                    return None
                if len(started) == len(trials):  # nothing is enqueued
                    self.study.enqueue_trial(untried[0])
            self.study.sampler = self.folder.sampler(len(started))
            trial = self.study.ask()
            return trial, self._suggest(trial), {}

    def _untried(self, started: Sequence[FrozenTrial]) -> list[dict[str, Any]] | None:
        """Return the combinations of values without a trial; None where there are too many to try all.

        A recipe and its seed give the same bits twice, so repeating a trial would add no information.
        """
        space = self.folder.space
        every = space.combinations(self.limits.trials or GRID)
        if every is None:
            return None
        tried = [space.of(old.params) for old in started]
        return [{key: space[key].stored(value) for key, value in each.items()} for each in every if each not in tried]

    def _suggest(self, trial: Trial) -> dict[str, Any]:
        """Claim a trial for this process and sample its values."""
        trial.set_user_attr(WORKER, os.getpid())
        return self.folder.space.suggest(trial)

    def _run_trial(self, trial: Trial, values: Mapping[str, Any], reported: Mapping[int, float]) -> None:
        """Train, and report the result; an error fails the trial, not the study."""
        from optuna.trial import TrialState

        watcher = Pruning(trial, f"valid.{self.folder.monitor}", reported)
        try:
            run = self._train(trial.number, values, watcher)
            value = result(run, self.folder.monitor)
            self._check_same_samples(run)
            epochs, planned = int(run.facts["epochs_done"]), int(run.recipe["loop"]["epochs"])
        except (Stopped, KeyboardInterrupt):
            raise
        except Exception as error:
            if os.environ.get("BENCHDOG_STRICT") == "1":
                raise
            text = error.message if isinstance(error, BenchdogError) else f"{type(error).__name__}: {error}"
            fail(self.study, trial, " ".join(text.split())[:500])
        else:
            trial.set_user_attr("epochs", epochs)
            loss = run.evaluation("valid").get("metrics", {}).get("loss")
            if isinstance(loss, int | float) and math.isfinite(loss):
                trial.set_user_attr(LOSS, float(loss))
            pruned = bool(watcher.reason) and epochs < planned
            if pruned:
                self.study.tell(trial, state=TrialState.PRUNED)
            else:
                self.study.tell(trial, value)
        gc.collect()  # frees the GPU memory of this trial's model

    def _check_same_samples(self, run: TrainedRun) -> None:
        """Check that a trial was evaluated on the same samples as the first one.

        Raises:
            Failed: it wasn't, so its value can't be compared with the others.
        """
        from optuna.trial import TrialState

        done = [old for old in self.study.get_trials(deepcopy=False) if old.state is TrialState.COMPLETE]
        if done:
            first = self.folder.experiment.run(self.folder.run_of(done[0].number))
            expected, held_out = (each.evaluation("valid").get("held_out") for each in (first, run))
            if expected and expected != held_out:
                raise Failed(f"It was evaluated on other samples than {first.folder.name}: data or split differ.")

    def _train(self, number: int, values: Mapping[str, Any], watcher: Pruning) -> TrainedRun:
        """Return the trial's finished run: trained now, or resumed."""
        folder, experiment = self.folder.run_of(number), self.folder.experiment
        if (folder / "recipe.toml").is_file():
            facts = experiment.run(folder).facts
            if facts["status"] == "failed":
                raise Failed(str(facts["error"]))
            return experiment.resume(folder, watcher=watcher)
        if folder.exists():  # killed before its recipe was written
            shutil.rmtree(folder)
        return experiment.train(values, folder, by=f"trial {number}", watcher=watcher)


def result(run: TrainedRun, monitor: str) -> float:
    """Return the value of a finished run: the best epoch's metric, on the validation split.

    Raises:
        Failed: it is not a number.
    """
    best = run.facts.get("best") or {}
    value = best.get("value")
    if value is None:  # a trainer without epochs
        value = run.evaluation("valid")["metrics"].get(monitor)
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise Failed(f"valid.{monitor} is {value}, not a number.")
    return float(value)


def fail(study: Study, trial: Trial, why: str) -> None:
    """Record that a trial failed."""
    from optuna.trial import TrialState

    trial.set_user_attr("error", why)
    study.tell(trial, state=TrialState.FAIL)
