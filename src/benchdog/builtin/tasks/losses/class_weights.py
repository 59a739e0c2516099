"""What each class counts: all the same, by how rare it is, or as the user says."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from benchdog.api import BadData, BadUsage, Spec, nearest
from benchdog.builtin.tasks.options import Balance


class ClassWeights:
    """Weights of the classes (classes,) float32; None when all count the same.

    `balanced` is samples / (classes x samples of the class) on the training split, so that all classes
    together weigh as much as before and each the same; a class that it lacks is taken to be there once.

    Args:
        given: the option.
        ignore: a code that isn't counted.
    """

    def __init__(self, given: Balance, ignore: int | None = None) -> None:
        self.given = given
        self.ignore = ignore
        self.classes = 0
        self._values: Tensor | None = None

    def check(self, spec: Spec, task: str) -> None:
        """Take the classes.

        Raises:
            BadUsage: a name that no class has, a weight that is none, or nothing that counts.
        """
        self.classes = spec.classes
        if isinstance(self.given, str):
            return
        names = spec.target.classes
        for name, weight in self.given.items():
            if name not in names:
                raise BadUsage(
                    f"class_weights of {task!r} names {name!r}, which is not a class.", nearest(name, names)
                )
            if not (math.isfinite(weight) and weight >= 0):
                raise BadUsage(f"class_weights of {task!r}: {name!r} counts {weight}.", "Set a number, 0 or more.")
        values = [float(self.given.get(name, 1.0)) for name in names]
        if not any(values):
            raise BadUsage(f"class_weights of {task!r} let no class count.", "Set one of them above 0.")
        self._values = torch.tensor(values)

    def fit(self, targets: Iterable[Tensor]) -> None:
        """Compute the weights that balance the training split's codes; nothing is read unless they are wanted."""
        if self.given != "balanced":
            return
        counts = torch.zeros(self.classes, dtype=torch.int64)
        for piece in targets:
            codes = piece.detach().cpu().long().reshape(-1)
            if self.ignore is not None:
                codes = codes[codes != self.ignore]
            counts += codes.bincount(minlength=self.classes)
        if not int(counts.sum()):
            raise BadData("The training split has no target.", "Balanced weights need some.")
        self._values = (counts.sum() / (self.classes * counts.clamp(min=1).double())).float()

    def state(self) -> dict[str, Any]:
        """Return what `fit` learned, for `restore`."""
        return (
            {"class_weights": self._values.tolist()} if self.given == "balanced" and self._values is not None else {}
        )

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up what another `fit` learned."""
        if "class_weights" in state:
            self._values = torch.tensor(state["class_weights"], dtype=torch.float32)

    def on(self, device: torch.device) -> Tensor | None:
        """Return the weights on a device; None when all classes count the same."""
        assert self.given == "none" or self._values is not None, "weights are checked and fitted before a loss"
        if self._values is not None and self._values.device != device:
            self._values = self._values.to(device)
        return self._values


class Balanced:
    """A task whose class weights are all that it learns from the targets."""

    weights: ClassWeights

    def fit(self, targets: Iterable[Tensor]) -> None:
        """Compute balanced weights, if they are wanted."""
        self.weights.fit(targets)

    def state(self) -> dict[str, Any]:
        """Return what `fit` learned, for `restore`."""
        return self.weights.state()

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up what another `fit` learned."""
        self.weights.restore(state)
