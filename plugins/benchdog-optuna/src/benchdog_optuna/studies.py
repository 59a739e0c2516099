"""A study carried out: trials until a limit, then the best recipe, the document and the page."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchdog.errors import Stopped
from benchdog.plugins import Plugins
from benchdog.training.time_budget import seconds_of
from benchdog_optuna.beginning import MANY
from benchdog_optuna.folder import LEFT, Folder, trial_of
from benchdog_optuna.jobs import Asked, work_together
from benchdog_optuna.telling import Drawing, short, write
from benchdog_optuna.trials import Limits, Trials

if TYPE_CHECKING:
    from optuna import Study


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """How it is worked: silently; with code of a study from elsewhere; with these local plugin files."""

    quiet: bool
    trust: bool
    local: list[str]


def carry_out(folder: Folder, work: Work, plugins_of: Callable[[tuple[str, ...]], Plugins]) -> dict[str, Any]:
    """Carry out trials until a limit; give the document that describes the study.

    Raises:
        Stopped: a signal ended it; what was done is written down, and a resume goes on.
        Failed: another process has the study.
    """
    folder.hold()
    begun = time.time() - float(folder.about["seconds"])
    try:
        plugins = folder.plugins(plugins_of, work.trust)
        study = folder.study()
        _prepare(folder, study)
        limits = limits_of(folder, begun)
        if not work.quiet:
            print(_sentence(folder, limits), file=sys.stderr, flush=True)
        try:
            if int(folder.about["jobs"]) > 1:
                asked = Asked(
                    str(folder.path.absolute()), limits.trials, limits.until, work.quiet, work.trust, work.local
                )
                work_together(folder, int(folder.about["jobs"]), asked)
            else:
                Trials(folder, plugins, plugins_of, limits, Drawing(folder, work.quiet)).work()
        except (Stopped, KeyboardInterrupt) as stopped:
            hint = f"Go on with: benchdog tune --resume {short(folder.path)}"
            raise Stopped("Stopped; what is done is kept.", hint, getattr(stopped, "code", 130)) from None
        finally:
            folder.about["seconds"] = round(time.time() - begun, 3)
            folder.save()
            told = write(folder, study)
    finally:
        folder.release()
    return told


def limits_of(folder: Folder, begun: float) -> Limits:
    """Say when the last trial has begun."""
    trials, limit = int(folder.about["trials"]), str(folder.about["time"])
    if not trials and not limit:
        trials = MANY
    return Limits(trials, begun + seconds_of(limit) if limit else 0.0)


def _prepare(folder: Folder, study: Study) -> None:
    """Mark what a killed process left behind; let the first trial be the recipe as it stands."""
    from optuna.trial import TrialState

    trials = study.get_trials(deepcopy=False)
    for frozen in trials:
        if frozen.state is TrialState.RUNNING:  # this process holds the study, so nobody works on it
            trial_of(study, frozen).set_user_attr(LEFT, True)
    if not trials and (values := folder.space.near(folder.recipe.to_json())):
        study.enqueue_trial(values)


def _sentence(folder: Folder, limits: Limits) -> str:
    """Say what is searched, and until when."""
    till = [f"{limits.trials} trials"] if limits.trials else []
    till += [f"until {folder.about['time']} have passed"] if limits.until else []
    keys = ", ".join(folder.space)
    better = {"max": "highest", "min": "lowest"}[str(folder.about["better"])]
    return f"study {short(folder.path)}: {' or '.join(till)}; the {better} valid.{folder.monitor} over {keys}"
