"""Weights of samples: how much each one's loss counts. Who doesn't honour them is refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from benchdog.api import Raw, TaskDefaults, TrainerDefaults, with_defaults
from benchdog.errors import BadData, BadUsage

if TYPE_CHECKING:
    from benchdog.api import Task, Trainer

Weight = np.ndarray | None
"""(B,) float32, or None where all samples count the same."""


def stack_weights(raws: Sequence[Raw]) -> Weight:
    """Stack the weights of samples.

    Raises:
        BadData: some have one and some have none, or one is no weight.
    """
    without = [raw.id for raw in raws if raw.weight is None]
    if len(without) == len(raws):
        return None
    if without:
        raise BadData(f"Sample {without[0]} has no weight, others have one.", "Give all samples of a split one.")
    return check_weights([raw.weight for raw in raws], len(raws), lambda row: raws[row].id)


def check_weights(values: Any, count: int, name: Callable[[int], str]) -> np.ndarray:
    """Give weights as (count,) float32.

    Args:
        name: gives the id of a row.

    Raises:
        BadData: one is negative or not finite, or there is another number of them.
    """
    try:
        weight = np.asarray(values, np.float32)
    except (TypeError, ValueError) as error:
        raise BadData(f"The weights of samples aren't numbers: {error}.") from None
    if weight.shape != (count,):
        raise BadData(f"{count} samples have weights of shape {weight.shape}.", "Give each sample one number.")
    wrong = np.flatnonzero(~(np.isfinite(weight) & (weight >= 0)))
    if wrong.size:
        row = int(wrong[0])
        raise BadData(f"Sample {name(row)} has the weight {weight[row]:g}.", "A weight is a number, 0 or more.")
    return weight


def drop_zero_weights(inputs: Any, target: Any, weight: Any, ids: Any = ()) -> tuple[Any, Any, Any, Any]:
    """Give a batch without the samples of weight 0, which are as good as absent; arrays or tensors.

    Args:
        inputs: a tuple of (B, ...).
        target: (B, ...).
        weight: (B,), or None where all samples are there.
        ids: of the samples, or none.
    """
    if weight is None or bool((weight > 0).all()):
        return inputs, target, weight, ids
    rows = np.flatnonzero(weight) if isinstance(weight, np.ndarray) else weight.nonzero()[:, 0]
    kept = [ids[i] for i in rows.tolist()] if len(ids) else ids
    return tuple(x[rows] for x in inputs), target[rows], weight[rows], kept


def check_task(name: str, task: Task, mixing: str) -> None:
    """See that the task, and what is done to batches before it, honours weights.

    Args:
        mixing: the name of an augmentation that blends samples; "" when there is none.

    Raises:
        BadUsage: one doesn't, or doesn't say so.
    """
    declared = with_defaults(task, TaskDefaults)
    if not declared.adds_up:
        _refuse(f"the loss of task {name!r}, as it is set, is taken of a batch as a whole")
    if not declared.weighs:
        _refuse(f"the task {name!r} doesn't say that it honours them (weighs = True)")
    if mixing:
        _refuse(f"the augmentation {mixing!r} blends samples, each of which has one of its own")


def check_trainer(name: str, trainer: Trainer) -> None:
    """See that the trainer honours weights."""
    if not with_defaults(trainer, TrainerDefaults).weighs:
        _refuse(f"the trainer {name!r}, as it is set, doesn't say that it honours them (weighs = True)")


def _refuse(why: str) -> NoReturn:
    raise BadUsage(f"The samples have weights, but {why}.", "Take another one, or a source without weights.")
