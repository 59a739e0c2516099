"""What is asked of a task's meter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchdog.api import TaskDefaults, with_defaults
from benchdog.testing.checks.scoring import ALL, Case, near, short
from benchdog.testing.runner.results import Fault

if TYPE_CHECKING:
    from benchdog.testing.checks.tasks import Trial


def meter(trial: Trial) -> str:
    """Check that meters merged give what one gives, and that the monitored metric is among what they say."""
    for case in trial.cases:
        task = case.make()
        whole = _metered(trial, task, case, [ALL])
        if task.monitor not in whole:
            raise Fault(
                f"The meter says {', '.join(map(repr, whole))}, and not {task.monitor!r}, which is monitored.",
                "Let value() give it, or monitor another one.",
                trial.where,
            )
        for name, pieces in (("in pieces", [[[0], [1, 2], [3, 4, 5]]]), ("merged", [[[0, 1, 2]], [[3, 4, 5]]])):
            said_now = _merged(trial, task, case, pieces)
            for key, value in whole.items():
                loose = key == "loss" and not with_defaults(task, TaskDefaults).adds_up
                if not loose and not near(value, said_now.get(key)):
                    raise Fault(
                        f"For {case.what} the metric {key!r} is {short(value)} for a whole split, and "
                        f"{short(said_now.get(key))} {name}.",
                        "Keep sums and counts in the state, and divide in value() alone.",
                        trial.where,
                    )
    return "whole, in pieces and merged the same"


def _metered(trial: Trial, task: Any, case: Case, pieces: list[list[int]]) -> dict[str, Any]:
    return _merged(trial, task, case, [pieces])


def _merged(trial: Trial, task: Any, case: Case, groups: list[list[list[int]]]) -> dict[str, Any]:
    """Add pieces to a meter for each group, and merge the others' states into the first."""

    return trial.guarded(f"The meter for {case.what}", _value, task, case, groups)


def _value(task: Any, case: Case, groups: list[list[list[int]]]) -> dict[str, Any]:
    meters = []
    for group in groups:
        meters.append(task.meter(case.spec))
        for rows in group:
            meters[-1].add(*case.part(rows))
    for other in meters[1:]:
        meters[0].merge(other.state())
    return dict(meters[0].value())
