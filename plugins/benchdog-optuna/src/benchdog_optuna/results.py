"""Results of a study: a line per trial, the document tune.json, best.toml, and the page."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from benchdog.api import BadData
from benchdog.cli.output import complain
from benchdog_optuna import files
from benchdog_optuna.pruning import PRUNED
from benchdog_optuna.study_folder import BEST, FORMAT, PAGE, RESULTS, StudyFolder

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

STATES = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed", "RUNNING": "running", "WAITING": "waiting"}
LOSS = "loss"
"""User attribute of a complete trial: the loss of its best epoch on the validation split."""
PAGE_EVERY = 30.0
"""Seconds between two versions of the page while trials are running."""


def best_of(study: Study) -> FrozenTrial | None:
    """Return the best complete trial, of equal ones that with the lowest loss; None before one is complete."""
    from optuna.trial import TrialState

    done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    sign = -1 if study.direction.name == "MAXIMIZE" else 1
    return min(
        done,
        key=lambda trial: (sign * (trial.value or 0.0), trial.user_attrs.get(LOSS, math.inf), trial.number),
        default=None,
    )


def trial_json(frozen: FrozenTrial, folder: StudyFolder) -> dict[str, Any]:
    """Describe a trial."""
    run = folder.run_of(frozen.number)
    facts: Mapping[str, Any] = {}
    with suppress(BadData):  # it may have failed before its run was created
        facts = files.read_json(run / "run.json")
    last = max(frozen.intermediate_values, default=None)
    value = frozen.value if frozen.state.name == "COMPLETE" else None
    return {
        "number": frozen.number,
        "state": STATES[frozen.state.name],
        "value": value,
        "values": folder.space.of(frozen.params),
        "run": run.name if facts else None,
        "epochs": facts.get("epochs_done"),
        "seconds": facts.get("seconds"),
        "last": None if last is None else {"epoch": last, "value": frozen.intermediate_values[last]},
        "error": frozen.user_attrs.get("error"),
        "pruned": frozen.user_attrs.get(PRUNED) if frozen.state.name == "PRUNED" else None,
    }


def study_json(folder: StudyFolder, study: Study) -> dict[str, Any]:
    """Describe a study: what `tune --json` prints and tune.json holds."""
    best = best_of(study)
    trials = [trial_json(frozen, folder) for frozen in study.get_trials(deepcopy=False)]
    return {
        "format": FORMAT,
        "study": folder.name,
        "folder": str(folder.path),
        "metric": f"valid.{folder.monitor}",
        "better": folder.about["better"],
        "seed": folder.about["seed"],
        "sampler": folder.about["sampler"],
        "pruner": folder.about["pruner"],
        "space": folder.space.to_json(),
        "seconds": folder.about["seconds"],
        "best": None if best is None else trials[best.number],
        "trials": [trial for trial in trials if trial["state"] != "waiting"],
        "page": str(folder.path / PAGE),
        "recipe": None if best is None else str(folder.path / BEST),
    }


def write(folder: StudyFolder, study: Study) -> dict[str, Any]:
    """Write best.toml, tune.json and the page; return the document."""
    from benchdog_optuna.page import page

    document = study_json(folder, study)
    if (best := best_of(study)) is not None:
        folder.write_best(best)
    files.write_json(folder.path / RESULTS, document)
    files.write_text(folder.path / PAGE, page(folder, document, study))
    return document


class ProgressCallback:
    """Prints a line per finished trial on stderr."""

    def __init__(self, folder: StudyFolder, quiet: bool) -> None:
        self.folder, self.quiet = folder, quiet

    def __call__(self, study: Study, frozen: FrozenTrial) -> None:
        """Print a trial's line."""
        if not self.quiet:
            complain(line(trial_json(frozen, self.folder), self.folder.monitor, best_of(study)))


class PageCallback(ProgressCallback):
    """Also rewrites the page now and then, to be looked at while trials are running."""

    def __init__(self, folder: StudyFolder, quiet: bool) -> None:
        super().__init__(folder, quiet)
        self._written = time.monotonic()

    def __call__(self, study: Study, frozen: FrozenTrial) -> None:
        """Print a trial's line; rewrite the page when it is old."""
        super().__call__(study, frozen)
        if time.monotonic() - self._written > PAGE_EVERY:
            write(self.folder, study)
            self._written = time.monotonic()


def line(trial: Mapping[str, Any], monitor: str, best: FrozenTrial | None) -> str:
    """Format a trial's result as one line."""
    values = " ".join(f"{key}={format_value(value)}" for key, value in trial["values"].items())
    name = f"trial {trial['number']}"
    if trial["state"] == "failed":
        return f"{name}: failed: {trial['error']}  ({values})"
    if trial["state"] == "pruned":
        how = f"pruned at epoch {trial['last']['epoch']}, {monitor} {trial['last']['value']:.4f}"
    else:
        how = f"{monitor} {trial['value']:.4f}"
        if best is not None:
            how += ", the best" if best.number == trial["number"] else f" (best {best.value:.4f})"
    seconds = trial["seconds"]
    return f"{name}: {how}  {values}" + ("" if seconds is None else f"  {seconds:.1f} s")


def format_value(value: Any) -> str:
    """Format a value briefly."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value).replace(" ", "") if isinstance(value, list | dict) else str(value)
