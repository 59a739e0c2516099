"""What is said of a study: a line for each trial, and the whole as one document."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchdog.errors import BadData
from benchdog.system import files, paths
from benchdog_optuna.folder import BEST, FORMAT, PAGE, TOLD, Folder
from benchdog_optuna.pruning import PRUNED

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

STATES = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed", "RUNNING": "running", "WAITING": "waiting"}
REDRAWN = 30.0
"""Seconds after which the page is written anew while trials go on."""


def best_of(study: Study) -> FrozenTrial | None:
    """Give the best complete trial; the first of several equal ones."""
    from optuna.trial import TrialState

    done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    sign = -1 if study.direction.name == "MAXIMIZE" else 1
    return min(done, key=lambda trial: (sign * (trial.value or 0.0), trial.number), default=None)


def trial_json(frozen: FrozenTrial, folder: Folder) -> dict[str, Any]:
    """Describe a trial."""
    place = folder.run_of(frozen.number)
    facts: Mapping[str, Any] = {}
    with suppress(BadData):  # it may have failed before its run was made
        facts = files.read_json(place / "run.json")
    last = max(frozen.intermediate_values, default=None)
    value = frozen.value if frozen.state.name == "COMPLETE" else None
    return {
        "number": frozen.number,
        "state": STATES[frozen.state.name],
        "value": value,
        "values": folder.space.of(frozen.params),
        "run": place.name if facts else None,
        "epochs": facts.get("epochs_done"),
        "seconds": facts.get("seconds"),
        "last": None if last is None else {"epoch": last, "value": frozen.intermediate_values[last]},
        "error": frozen.user_attrs.get("error"),
        "pruned": frozen.user_attrs.get(PRUNED) if frozen.state.name == "PRUNED" else None,
    }


def study_json(folder: Folder, study: Study) -> dict[str, Any]:
    """Describe a study: what `tune --json` prints, and what lies in its folder."""
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


def write(folder: Folder, study: Study) -> dict[str, Any]:
    """Write best.toml, tune.json and the page; give the document."""
    from benchdog_optuna.page import page

    told = study_json(folder, study)
    if (best := best_of(study)) is not None:
        folder.write_best(best)
    files.write_json(folder.path / TOLD, told)
    curves = {t.number: dict(t.intermediate_values) for t in study.get_trials(deepcopy=False)}
    files.write_text(folder.path / PAGE, page(folder, told, curves))
    return told


class Teller:
    """Tells of each trial when it is done, on stderr."""

    def __init__(self, folder: Folder, quiet: bool) -> None:
        self.folder, self.quiet = folder, quiet

    def __call__(self, study: Study, frozen: FrozenTrial) -> None:
        """Say how a trial went."""
        if not self.quiet:
            print(
                line(trial_json(frozen, self.folder), self.folder.monitor, best_of(study)),
                file=sys.stderr,
                flush=True,
            )


class Drawing(Teller):
    """Writes the page too, now and then: one can look at it while trials go on."""

    def __init__(self, folder: Folder, quiet: bool) -> None:
        super().__init__(folder, quiet)
        self._drawn = time.monotonic()

    def __call__(self, study: Study, frozen: FrozenTrial) -> None:
        """Say how a trial went, and draw."""
        super().__call__(study, frozen)
        if time.monotonic() - self._drawn > REDRAWN:
            write(self.folder, study)
            self._drawn = time.monotonic()


def line(told: Mapping[str, Any], monitor: str, best: FrozenTrial | None) -> str:
    """Say in one line how a trial went."""
    values = " ".join(f"{key}={said(value)}" for key, value in told["values"].items())
    name = f"trial {told['number']}"
    if told["state"] == "failed":
        return f"{name}: failed: {told['error']}  ({values})"
    if told["state"] == "pruned":
        how = f"pruned at epoch {told['last']['epoch']}, {monitor} {told['last']['value']:.4f}"
    else:
        how = f"{monitor} {told['value']:.4f}"
        if best is not None:
            how += ", the best" if best.number == told["number"] else f" (best {best.value:.4f})"
    seconds = told["seconds"]
    return f"{name}: {how}  {values}" + ("" if seconds is None else f"  {seconds:.1f} s")


def said(value: Any) -> str:
    """Write a value as short as it can be read."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value).replace(" ", "") if isinstance(value, list | dict) else str(value)


def short(path: Path) -> str:
    """Give a path for people."""
    return paths.short(path)
