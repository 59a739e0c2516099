"""Running a study: trials until a limit, then the best recipe, tune.json and the page."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchdog import parse_duration
from benchdog.api import Stopped
from benchdog.cli.output import complain, short_path
from benchdog_optuna.results import PageCallback, write
from benchdog_optuna.study_folder import ABANDONED, StudyFolder, trial_of
from benchdog_optuna.study_setup import DEFAULT_TRIALS
from benchdog_optuna.trials import Limits, Trials
from benchdog_optuna.workers import WorkerArguments, run_workers

if TYPE_CHECKING:
    from optuna import Study


@dataclass(frozen=True, kw_only=True, slots=True)
class RunOptions:
    """Whether to be quiet, whether to trust code of unknown origin, local plugin files, where data was moved to."""

    quiet: bool
    trust: bool
    local: list[str]
    data: Path | None = None


def run_study(folder: StudyFolder, options: RunOptions) -> dict[str, Any]:
    """Run trials until a limit; return the document that describes the study.

    Raises:
        Stopped: a signal ended it; results so far are written, and a resume continues.
        Failed: another process has the study.
        BadData: the data is missing, or isn't what the trials were trained on.
    """
    folder.hold()
    started = time.time() - float(folder.about["seconds"])
    try:
        folder.trust_code(options.trust)
        study = folder.study()
        folder.open_data(study, options.data)
        _prepare_trials(folder, study)
        limits = limits_of(folder, started)
        if not options.quiet:
            complain(_sentence(folder, limits))
        try:
            if int(folder.about["jobs"]) > 1:
                arguments = WorkerArguments(
                    folder=str(folder.path.absolute()),
                    trials=limits.trials,
                    until=limits.until,
                    quiet=options.quiet,
                    trust=options.trust,
                    local=options.local,
                )
                run_workers(folder, int(folder.about["jobs"]), arguments)
            else:
                Trials(folder, limits, PageCallback(folder, options.quiet)).run()
        except (Stopped, KeyboardInterrupt) as stopped:
            hint = f"Resume it: benchdog tune --resume {short_path(folder.path)}"
            raise Stopped("Stopped; finished trials are kept.", hint, getattr(stopped, "code", 130)) from None
        finally:
            folder.about["seconds"] = round(time.time() - started, 3)
            folder.save()
            document = write(folder, study)
    finally:
        folder.release()
    return document


def limits_of(folder: StudyFolder, started: float) -> Limits:
    """Return when no more trials start."""
    trials, limit = int(folder.about["trials"]), str(folder.about["time"])
    if not trials and not limit:
        trials = DEFAULT_TRIALS
    return Limits(trials, started + parse_duration(limit) if limit else 0.0)


def _prepare_trials(folder: StudyFolder, study: Study) -> None:
    """Mark trials of killed processes as abandoned; enqueue the recipe's own values as the first trial."""
    from optuna.trial import TrialState

    trials = study.get_trials(deepcopy=False)
    for frozen in trials:
        if frozen.state is TrialState.RUNNING:  # this process has the lock, so no other works on it
            trial_of(study, frozen).set_user_attr(ABANDONED, True)
    if not trials and (values := folder.space.near(folder.experiment.recipe)):
        study.enqueue_trial(values)


def _sentence(folder: StudyFolder, limits: Limits) -> str:
    """Describe what is searched, and until when."""
    until = [f"{limits.trials} trials"] if limits.trials else []
    until += [f"{folder.about['time']}"] if limits.until else []
    keys = ", ".join(folder.space)
    better = {"max": "highest", "min": "lowest"}[str(folder.about["better"])]
    return f"study {short_path(folder.path)}: {' or '.join(until)}; the {better} valid.{folder.monitor} over {keys}"
