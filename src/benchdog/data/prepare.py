"""What a task makes of a batch before the transform: see `benchdog.api.PreparedTask`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchdog.api import Field, PreparedTask, Preprocess, Spec, Target, Task
from benchdog.data.dataset import Arrays
from benchdog.data.randomness import sample_draws
from benchdog.errors import BadUsage

TRAINING, EVALUATION = 1 << 20, (1 << 20) + 1
"""Salts of the random numbers, beyond those of augmentations."""

Prepared = tuple[tuple[Tensor, ...], Tensor]
"""Inputs (B, ...) of each field of the prepared spec, and target (B, ...)."""


def prepared_spec(task: Task, spec: Spec, name: str) -> Spec:
    """Return the spec of what a model of the task gets: the data's, unless the task prepares its batches.

    Raises:
        BadUsage: the task implements half of `PreparedTask`, or describes a field of the data differently.
    """
    if not isinstance(task, PreparedTask):
        if hasattr(task, "prepare") or hasattr(task, "prepared_spec"):
            raise BadUsage(
                f"Task {name!r} has only one of prepare() and prepared_spec().",
                "Its author must implement both: see PreparedTask in benchdog.api.",
            )
        return spec
    prepared = task.prepared_spec(spec)
    if not isinstance(prepared, Spec) or not prepared.fields:
        raise BadUsage(f"Task {name!r}: prepared_spec() returns no Spec with fields.", "Its author returns one.")
    known = {field.name: field for field in spec.fields}
    for field in prepared.fields:
        data = known.get(field.name)
        if data is not None and replace(field, dtype=data.dtype) != data:
            raise BadUsage(
                f"Task {name!r}: prepared_spec() describes the data's field {field.name!r} differently.",
                "Only its dtype may change, since it keeps its transform: give another field another name.",
            )
    return prepared


def transform_of(preprocess: Preprocess, data: Spec, prepared: Spec) -> Preprocess:
    """Return the preprocessing without the transforms of fields that the task replaces."""
    if prepared.fields == data.fields:
        return preprocess
    gone = {field.name for field in data.fields} - {field.name for field in prepared.fields}
    return replace(
        preprocess, transform={name: ops for name, ops in preprocess.transform.items() if name not in gone}
    )


def fitting_inputs(inputs: tuple[Tensor, ...], data: Spec, prepared: Spec) -> tuple[Tensor, ...]:
    """Return decoded inputs in the order of the prepared fields, for fitting the transform; the task's own empty."""
    known = {field.name: x for field, x in zip(data.fields, inputs, strict=True)}
    return tuple(_fitting(field, known, len(inputs[0])) for field in prepared.fields)


def _fitting(field: Field, known: Mapping[str, Tensor], count: int) -> Tensor:
    if field.name not in known:
        return torch.empty(count)
    return known[field.name].to(getattr(torch, field.dtype))


class Prepare:
    """Prepares batches for a task; false for one that takes them as they are.

    Args:
        task: the recipe's.
        spec: of what it prepares.
        seed: the loader's.
    """

    def __init__(self, task: Task, spec: Spec, seed: int = 0) -> None:
        self._task = task if isinstance(task, PreparedTask) else None
        self._spec, self._seed = spec, seed

    def __bool__(self) -> bool:
        return self._task is not None

    @torch.no_grad()
    def __call__(self, inputs: tuple[Tensor, ...], target: Tensor, ids: Any, epoch: int | None = None) -> Prepared:
        """Return the prepared batch.

        Args:
            inputs: decoded, (B, ...) per field of the data, on the batch's device.
            target: (B, ...), of the data.
            ids: sample ids or positions, which seed the random numbers.
            epoch: counted from 0; None in evaluation, where neither seed nor epoch matter.

        Raises:
            BadUsage: it isn't as the prepared spec says.
        """
        if self._task is None:
            return inputs, target
        seed, number, salt = (0, 0, EVALUATION) if epoch is None else (self._seed, epoch, TRAINING)
        prepared = self._task.prepare(inputs, target, sample_draws(ids, seed, number, salt, target.device))
        return self._checked(prepared, len(target))

    def arrays(self, inputs: tuple[np.ndarray, ...], target: np.ndarray, ids: Any) -> Arrays:
        """Prepare decoded arrays for evaluation."""
        if self._task is None:
            return inputs, target
        tensors = tuple(torch.from_numpy(np.ascontiguousarray(x)) for x in inputs)
        prepared, wanted = self(tensors, torch.from_numpy(np.ascontiguousarray(target)), ids)
        return tuple(x.numpy() for x in prepared), wanted.numpy()

    def _checked(self, prepared: Any, count: int) -> Prepared:
        """Refuse what isn't as the spec says: it would train a model that can't be deployed, or on other targets."""
        if not (isinstance(prepared, tuple) and len(prepared) == 2 and isinstance(prepared[0], tuple)):
            raise self._fault("returns something other than (inputs, target), inputs a tuple")
        inputs, target = prepared
        if len(inputs) != len(self._spec.fields):
            raise self._fault(f"returns {len(inputs)} inputs; its prepared_spec() has {len(self._spec.fields)}")
        described: list[tuple[Any, Field | Target]] = [*zip(inputs, self._spec.fields, strict=True)]
        for x, wanted in [*described, (target, self._spec.target)]:
            shape = (count, *wanted.shape)
            fits = isinstance(x, Tensor) and x.dim() == len(shape) and str(x.dtype) == f"torch.{wanted.dtype}"
            if not fits or any(n is not None and n != m for n, m in zip(shape, x.shape, strict=True)):
                got = (
                    f"{tuple(x.shape)} {x.dtype}".replace("torch.", "") if isinstance(x, Tensor) else type(x).__name__
                )
                text = ", ".join("any" if n is None else str(n) for n in shape)
                raise self._fault(
                    f"returns {wanted.name!r} as {got}; its prepared_spec() says ({text}) {wanted.dtype}"
                )
        return inputs, target

    def _fault(self, said: str) -> BadUsage:
        return BadUsage(
            f"{type(self._task).__name__}.prepare() {said}.", "Its author corrects one of the two: see PreparedTask."
        )
