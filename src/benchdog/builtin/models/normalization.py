"""Normalisation after a convolution, of images and volumes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchdog.api import Field


def normalization(norm: str, width: int, field: Field) -> list[nn.Module]:
    """Return the layer after a convolution of `width` channels; none for "none"."""
    if norm == "none":
        return []
    if norm == "batch":
        return [(nn.BatchNorm2d if field.kind == "image" else nn.BatchNorm3d)(width)]
    groups = next(g for g in (8, 4, 2, 1) if width % g == 0)
    return [Groups(groups, width)]


class Groups(nn.GroupNorm):
    """Normalise groups of channels, without torch's check of the batch's size, which can't be traced."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)
