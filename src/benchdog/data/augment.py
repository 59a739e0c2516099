"""Augmentation: training batches are changed at random, between decoding and the transform; masks follow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from benchdog.api import Augmentation, AugmentationInfo, Spec
from benchdog.data.randomness import sample_draws
from benchdog.plugins import Plugins
from benchdog.recipe.recipe import ComponentConfig


class Augment:
    """A recipe's augmentations, one after the other.

    Args:
        parts: which, with their options.
        spec: of the decoded data.
        seed: the loader's.
        plugins: where they are found.

    Raises:
        BadUsage: an unknown name or option, or one that doesn't fit the data.
    """

    def __init__(self, parts: Sequence[ComponentConfig], spec: Spec, seed: int, plugins: Plugins) -> None:
        self.seed = seed
        self.mixing = ""
        self._steps: list[Augmentation] = []
        for part in parts:
            step: Augmentation = plugins.make("augmentation", part.name, part.options)
            step.check(spec)
            self._steps.append(step)
            info = plugins.find("augmentation", part.name).info
            if isinstance(info, AugmentationInfo) and info.mixes:
                self.mixing = part.name

    def __len__(self) -> int:
        return len(self._steps)

    @torch.no_grad()
    def __call__(
        self, inputs: tuple[Tensor, ...], target: Tensor, ids: Any, epoch: int
    ) -> tuple[tuple[Tensor, ...], Tensor]:
        """Change a batch that lies on its device as it was decoded; `ids` are its samples'."""
        for number, step in enumerate(self._steps):
            inputs, target = step.apply(inputs, target, sample_draws(ids, self.seed, epoch, number, inputs[0].device))
        return inputs, target
