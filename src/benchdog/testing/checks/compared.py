"""Whether what a task says of baselines is true: its own give scores, or its scores are the usual ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor

from benchdog.api import BaselineTask, InvertibleHeadTask
from benchdog.evaluation.baselines import MAKERS
from benchdog.evaluation.declared_scores import contradiction, declares
from benchdog.testing.checks.scoring import Case
from benchdog.testing.fixtures.data_kinds import ROWS
from benchdog.testing.runner.results import Fault

if TYPE_CHECKING:
    from benchdog.testing.checks.tasks import Trial


def baselines(trial: Trial) -> str:
    """Check that baselines give scores, and that scores said to be the usual ones are."""
    told = "none"
    for case in trial.cases:
        task, kind = case.make(), case.spec.target.kind
        arrays = tuple(x.numpy() for x in case.batch.inputs)
        if isinstance(task, BaselineTask):
            found = trial.guarded(f"baselines() for {case.what}", task.baselines, arrays)
            for name, scorer in found.items():
                _fits(trial, case, name, trial.guarded(f"The baseline {name!r} of {case.what}", scorer, arrays))
            told = "its own: " + ", ".join(found)
        elif kind in MAKERS and (declares(task) or (kind == "class" and isinstance(task, InvertibleHeadTask))):
            split = arrays, case.batch.target.numpy()
            if fault := trial.guarded(f"Scoring {case.what}", contradiction, split, split, case.spec, task):
                raise Fault(
                    f"It says usual_scores = True, and for {case.what} {fault}.",
                    "Leave usual_scores out, or write baselines() of its own: Benchdog's would be scored wrongly.",
                    trial.where,
                )
            told = "Benchdog's"
    return told


def _fits(trial: Trial, case: Case, name: str, score: Any) -> None:
    wanted = (ROWS, *case.spec.output)
    shape = tuple(score.shape) if isinstance(score, Tensor) else ()
    if len(shape) != len(wanted) or shape[0] != ROWS:  # vectors that are compared with each other may have any length
        raise Fault(
            f"The baseline {name!r} of {case.what} gives {shape or type(score).__name__}, not scores {wanted}.",
            "A baseline is a function from arrays, one per field, to a tensor of scores (B, ...).",
            trial.where,
        )
