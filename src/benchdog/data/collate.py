"""Collate: the targets of samples become those of a batch; targets of variable length are padded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchdog.api import CollatingTask, Raw, Spec, Target, Task, TaskDefaults, with_defaults
from benchdog.data.targets import check_targets, no_targets, stack_targets, target_arrays
from benchdog.errors import BadUsage
from benchdog.plugins import Plugins
from benchdog.recipe.recipe import ComponentConfig


@dataclass(frozen=True, slots=True)
class Collate:
    """How the targets of samples are checked and become a batch: by the spec, and by what a task adds to it.

    Attributes:
        ignore: a target value of masks or tokens that isn't a class but is allowed (ignore_index).
        task: a task that collates targets itself.
    """

    spec: Spec
    ignore: int | None = None
    task: CollatingTask | None = None

    @classmethod
    def of(cls, spec: Spec, task: Task) -> Collate:
        """Return how a task's batches are made.

        Raises:
            BadUsage: the spec's padding doesn't suit its shape or dtype.
        """
        check_padding(spec.target)
        own = task if isinstance(task, CollatingTask) and spec.target.kind != "none" else None
        return cls(spec, with_defaults(task, TaskDefaults).ignore, own)

    def raws(self, raws: Sequence[Raw]) -> np.ndarray:
        """Return the targets of samples as a batch, (B, ...); BadData names a sample whose target is wrong.

        Where the spec's target is "none" they are empty, (B, 0), whatever the samples have.
        """
        if self.spec.target.kind == "none":
            return no_targets(len(raws), self.spec)
        return self(target_arrays(raws, self.spec), lambda row: raws[row].id)

    def __call__(self, targets: Any, name: Callable[[int], str]) -> np.ndarray:
        """Return the targets of a batch, (B, ...), in the spec's dtype, checked.

        Args:
            targets: an array per sample, or one of all, (B, ...), in which rows of padding are no row of a sample.
            name: returns the id of a row, for messages.
        """
        spec, padding = self.spec, self.spec.target.padding
        if spec.target.kind == "none":
            return no_targets(len(targets), spec)
        if padding is None:
            batch = stack_targets(targets, name) if isinstance(targets, list | tuple) else targets
            batch = check_targets(batch, spec, name, self.ignore)
            return batch if self.task is None else self._by_task(self.task, list(batch))
        each = [
            check_targets(np.asarray(one)[None], spec, lambda _, row=row: name(row), self.ignore)[0]  # type: ignore[misc]
            for row, one in enumerate(samples_of(targets, spec.target))
        ]
        return pad(each, spec.target) if self.task is None else self._by_task(self.task, each)

    def _by_task(self, task: CollatingTask, targets: list[np.ndarray]) -> np.ndarray:
        batch = task.collate(targets, self.spec)
        rows = batch.shape[:1] if isinstance(batch, np.ndarray) and batch.dtype.kind in "buif" else None
        if rows != (len(targets),):
            what = type(batch).__name__ if rows is None else f"an array of the shape {batch.shape}"
            raise BadUsage(
                f"The task's collate() returns {what} for {len(targets)} samples.",
                "Return a numpy array of numbers with a row per sample: (B, ...).",
            )
        return batch


def collate_of(plugins: Plugins, task: ComponentConfig, spec: Spec) -> Collate:
    """Return how the batches of a recipe's task are made; worker processes build it anew."""
    return Collate.of(spec, plugins.make("task", task.name, task.options))


def check_padding(target: Target) -> None:
    """Raise BadUsage unless a target's padding, if it has any, suits its shape and dtype."""
    if target.padding is None:
        return
    if not target.shape or target.shape[0] is not None or None in target.shape[1:]:
        raise BadUsage(
            f"The target has padding, but its shape is {target.shape}.",
            "Padding is for a first axis of variable length, and no other: Target(shape=(None, 5), padding=-1).",
        )
    with np.errstate(all="ignore"):
        held = np.asarray(target.padding).astype(target.dtype)
    if held != target.padding:
        raise BadUsage(
            f"The target's padding {target.padding:g} is no value of {target.dtype}.", "Choose another: -1 is usual."
        )


def samples_of(targets: Any, target: Target) -> Sequence[Any]:
    """Return each sample's own target, without rows of padding where they are in one array (B, n, ...)."""
    if isinstance(targets, list | tuple) or target.padding is None:
        return list(targets)
    batch = np.asarray(targets)
    if batch.ndim != 1 + len(target.shape):
        return list(batch)  # refused when it is checked
    return [rows[real] for rows, real in zip(batch, target.real_rows(batch), strict=True)]


def pad(targets: Sequence[np.ndarray], target: Target) -> np.ndarray:
    """Append rows of padding until the targets (n, ...) are as long as the longest, and one row at least."""
    longest = max((len(each) for each in targets), default=0)
    rest = targets[0].shape[1:] if targets else tuple(axis or 0 for axis in target.shape[1:])
    batch = np.full((len(targets), max(1, longest), *rest), target.padding, np.dtype(target.dtype))
    for row, each in zip(batch, targets, strict=True):
        row[: len(each)] = each
    return batch


def concatenate(batches: Sequence[np.ndarray], target: Target) -> np.ndarray:
    """Concatenate the targets of batches, (B, ...) each, padded to the length of the longest.

    Raises:
        BadUsage: they differ in shape otherwise.
    """
    shapes = {batch.shape[1:] for batch in batches}
    if len(shapes) < 2:
        return np.concatenate(batches)
    if target.padding is None or len({shape[1:] for shape in shapes}) > 1 or () in shapes:
        few = " and ".join(map(str, sorted(shapes)[:2]))
        raise BadUsage(
            f"Targets of different batches have different shapes: {few}.",
            "A task's collate() may vary the length of axis 1 alone, if the source says Target(padding=...).",
        )
    longest = max(shape[0] for shape in shapes)
    return np.concatenate([_longer(batch, longest, target) for batch in batches])


def _longer(batch: np.ndarray, length: int, target: Target) -> np.ndarray:
    missing = [(0, 0), (0, length - batch.shape[1]), *[(0, 0)] * (batch.ndim - 2)]
    return np.pad(batch, missing, constant_values=target.padding or 0)
