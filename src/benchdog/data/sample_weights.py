"""Sample weights: how much each sample's loss counts. Tasks and trainers that would ignore them are refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from benchdog.api import Raw, TaskDefaults, TrainerDefaults, with_defaults
from benchdog.errors import BadData, BadUsage

if TYPE_CHECKING:
    from benchdog.api import Task, Trainer

Weight = np.ndarray | None
"""(B,) float32, or None where all samples count equally."""


def stack_weights(raws: Sequence[Raw]) -> Weight:
    """Stack the weights of samples; None when they have none.

    Raises:
        BadData: only some samples have a weight, or one is negative or not finite.
    """
    without = [raw.id for raw in raws if raw.weight is None]
    if len(without) == len(raws):
        return None
    if without:
        raise BadData(
            f"Sample {without[0]} has no weight, others have one.",
            "Set it for every sample of a split, or for none.",
        )
    return check_weights([raw.weight for raw in raws], len(raws), lambda row: raws[row].id)


def check_weights(values: Any, count: int, name: Callable[[int], str]) -> np.ndarray:
    """Validate weights and return them as (count,) float32.

    Args:
        name: returns the id of a row, for the message.

    Raises:
        BadData: one is negative or not finite, or their number differs from `count`.
    """
    try:
        weight = np.asarray(values, np.float32)
    except (TypeError, ValueError) as error:
        raise BadData(f"The weights of samples aren't numbers: {error}.") from None
    if weight.shape != (count,):
        raise BadData(f"{count} samples have weights of shape {weight.shape}.", "Set one number per sample.")
    wrong = np.flatnonzero(~(np.isfinite(weight) & (weight >= 0)))
    if wrong.size:
        row = int(wrong[0])
        raise BadData(f"Sample {name(row)} has the weight {weight[row]:g}.", "A weight is a number, 0 or more.")
    return weight


def drop_zero_weights(inputs: Any, target: Any, weight: Any, ids: Any = ()) -> tuple[Any, Any, Any, Any]:
    """Drop the samples of weight 0 from a batch of arrays or tensors.

    Args:
        inputs: a tuple of (B, ...).
        target: (B, ...).
        weight: (B,), or None.
        ids: of the samples; may be empty.
    """
    if weight is None or bool((weight > 0).all()):
        return inputs, target, weight, ids
    rows = np.flatnonzero(weight) if isinstance(weight, np.ndarray) else weight.nonzero()[:, 0]
    kept = [ids[i] for i in rows.tolist()] if len(ids) else ids
    return tuple(x[rows] for x in inputs), target[rows], weight[rows], kept


def check_task(name: str, task: Task, mixing: str) -> None:
    """Check that a task supports sample weights, and that no augmentation mixes samples.

    Args:
        mixing: name of an augmentation that mixes samples; "" without one.

    Raises:
        BadUsage: one doesn't support them, or doesn't declare it.
    """
    declared = with_defaults(task, TaskDefaults)
    if not declared.adds_up:
        _refuse(f"the loss of task {name!r}, as configured, depends on the batch as a whole")
    if not declared.weighs:
        _refuse(f"the task {name!r} doesn't declare that it supports them (weighs = True)")
    if mixing:
        _refuse(f"the augmentation {mixing!r} mixes samples, each of which has its own")


def check_trainer(name: str, trainer: Trainer) -> None:
    """Check that a trainer supports sample weights; raises BadUsage."""
    if not with_defaults(trainer, TrainerDefaults).weighs:
        _refuse(f"the trainer {name!r}, as configured, doesn't declare that it supports them (weighs = True)")


def _refuse(why: str) -> NoReturn:
    raise BadUsage(f"The samples have weights, but {why}.", "Choose another one, or a source without weights.")
