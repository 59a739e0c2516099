"""Whether the baselines' scores mean the same as a task's own: what it declares, and what contradicts that."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchdog.api import BaselineTask, InvertibleHeadTask, Spec, Task, TaskDefaults, with_defaults
from benchdog.evaluation.baselines import CHUNK, MAKERS, Arrays, flat, metrics, metrics_of_scores, score_of

SCORING = frozenset({"loss", "head", "output"})
"""What a subclass changes the meaning of scores by."""

PERFECT = 256
"""Samples whose targets are tried as scores."""

CERTAINTIES = (0.9, 0.99, 0.9999)
"""Probabilities of what is right in such a score: label smoothing suits the first, rare classes the last."""


def why_none(train: Arrays, held_out: Arrays, spec: Spec, task: Task, name: str) -> str:
    """Return why a task is compared with no baselines; "" for one that is.

    What its scores mean is known only where the task says it. One that says it wrongly is often found out: its
    targets, made scores, are not better than a constant.
    """
    if isinstance(task, BaselineTask) or not len(train[1]) or not len(held_out[1]):
        return ""
    invertible = spec.target.kind == "class" and isinstance(task, InvertibleHeadTask)
    if spec.target.kind not in MAKERS or not (declares(task) or invertible):
        return f"no baselines: the task {name!r} declares none"
    if fault := contradiction(train, held_out, spec, task):
        return f"no baselines: the task {name!r} declares usual_scores, but {fault}"
    return ""


def declares(task: Task) -> bool:
    """Whether a task declares `usual_scores`, in the class that defines its scores or in a subclass of that."""
    if not with_defaults(task, TaskDefaults).usual_scores:
        return False
    for cls in type(task).__mro__:
        if "usual_scores" in vars(cls):
            break
        if SCORING & vars(cls).keys():
            return False
    return True


def contradiction(train: Arrays, held_out: Arrays, spec: Spec, task: Task) -> str:
    """Return what shows that scores mean something else than `usual_scores` says; "" if nothing does.

    Scores made from the targets themselves must not have a higher loss, nor a worse `monitor`, than a constant.
    """
    if spec.target.kind == "image":
        return ""  # its baselines are measured for affine heads alone
    shape, width = held_out[1].shape[1:], spec.classes
    shapes = {"number": (prod(shape),), "mask": (width, *shape), "next-token": (*shape, width)}
    wanted = shapes.get(spec.target.kind, (width,))
    if not isinstance(task, InvertibleHeadTask) and spec.output and not _fit(spec.output, wanted):
        return f"its score has the shape {spec.output}, not {wanted}"
    few = slice(max(1, min(PERFECT, CHUNK // max(prod(shape) * max(width, 1), 1))))
    some = tuple(x[few] for x in held_out[0]), held_out[1][few]
    constant = next(iter(MAKERS[spec.target.kind](train, train, spec, task)), None)
    if constant is None:
        return ""
    plain = metrics(constant[1], some, spec, task)
    told = ""
    for sure in CERTAINTIES if spec.target.kind != "number" else (1.0,):
        score = _perfect(some[1], spec, task, sure)
        perfect = metrics_of_scores(score, some, spec, task)
        told = _worse(perfect, plain, constant[0], task)
        if not told:
            break
    return told


def _fit(output: tuple[int | None, ...], wanted: tuple[int, ...]) -> bool:
    return len(output) == len(wanted) and all(a in (None, b) for a, b in zip(output, wanted, strict=True))


def _worse(perfect: dict[str, Any], plain: dict[str, Any], name: str, task: Task) -> str:
    """Return in which metric the right predictions are worse than a constant; "" for none."""
    for metric, sign in (("loss", 1), (task.monitor, 1 if task.better == "min" else -1)):
        best, other = perfect.get(metric), plain.get(metric)
        if not isinstance(best, int | float) or not isinstance(other, int | float):
            continue
        if sign * (best - other) > 1e-6 * max(1.0, abs(other)):
            return f"its targets as scores have a {metric} of {best:.4g}, worse than {other:.4g} of the {name}"
    return ""


def _perfect(target: NDArray[Any], spec: Spec, task: Task, sure: float) -> Tensor:
    """Return the scores of right predictions that are so certain."""
    if spec.target.kind == "number":
        return score_of(flat(target), spec, task)
    if spec.target.kind == "labels":
        return torch.from_numpy(np.where(target > 0.5, sure, 1 - sure)).logit().float()
    codes = torch.from_numpy(np.ascontiguousarray(target, np.int64))
    rows = torch.nn.functional.one_hot(codes.clamp(0, spec.classes - 1), spec.classes).double()
    shares = rows * sure + (1 - rows) * (1 - sure) / max(spec.classes - 1, 1)
    if spec.target.kind == "class" and isinstance(task, InvertibleHeadTask):
        return task.score_of(shares.float())
    return (shares.movedim(-1, 1) if spec.target.kind == "mask" else shares).log().float()
