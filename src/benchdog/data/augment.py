"""The augmentation pipeline: random changes of training batches between decoding and the transform."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from benchdog.api import Augmentation, AugmentationInfo, Spec
from benchdog.data.randomness import sample_draws
from benchdog.plugins import Plugins, returned
from benchdog.recipe.recipe import ComponentConfig


class Augment:
    """The augmentations of a recipe, applied in order.

    Args:
        parts: their names and options.
        spec: of the decoded data.
        seed: the loader's seed.
        plugins: where they are registered.

    Raises:
        BadUsage: an unknown name or option, or one that doesn't fit the spec.
    """

    def __init__(self, parts: Sequence[ComponentConfig], spec: Spec, seed: int, plugins: Plugins) -> None:
        self.seed = seed
        self.mixing = ""
        self._steps: list[tuple[str, Augmentation]] = []
        for part in parts:
            step: Augmentation = plugins.make("augmentation", part.name, part.options)
            step.check(spec)
            self._steps.append((part.name, step))
            info = plugins.find("augmentation", part.name).info
            if isinstance(info, AugmentationInfo) and info.mixes:
                self.mixing = part.name

    def __len__(self) -> int:
        return len(self._steps)

    @torch.no_grad()
    def __call__(
        self, inputs: tuple[Tensor, ...], target: Tensor, ids: Any, epoch: int
    ) -> tuple[tuple[Tensor, ...], Tensor]:
        """Augment a decoded batch on its device; `ids` are sample ids or positions, which seed the random numbers."""
        for number, (name, step) in enumerate(self._steps):
            draws = sample_draws(ids, self.seed, epoch, number, inputs[0].device)
            inputs, target = returned.augmented(step.apply(inputs, target, draws), inputs, target, name)
        return inputs, target
