"""The model `vit`: a vision transformer (arXiv:2010.11929); patches of an image are its tokens."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Final

import torch.nn.functional as F
from torch import Tensor, nn

from benchdog.api import BadUsage, Field, Spec
from benchdog.builtin.models.options import VitOptions
from benchdog.builtin.models.spec_checks import flat_outputs, misfit, single_picture
from benchdog.builtin.models.transformer_blocks import Block, Size, placed, size_of

SIZES: Final[Mapping[str, Size]] = {
    "nano": Size(64, 3, 2),
    "micro": Size(128, 4, 4),
    "tiny": Size(192, 12, 3),
    "small": Size(384, 12, 6),
    "base": Size(768, 12, 12),
}
PATCHES = 14
"""More patches along the longer side than this make the attention dear."""


def patch_for(height: int, width: int) -> int:
    """Choose the side of a patch: the smallest power of 2 that gives at most 14 of them along the longer side."""
    side = 1
    while -(-max(height, width) // side) > PATCHES:
        side *= 2
    return side


class Vit(nn.Module):
    """Image (B, C, H, W) -> score (B, outputs): the mean over its patches.

    What lacks to whole patches is added at the end of each axis as zeros, the mean of standardized data.
    """

    def __init__(self, field: Field, patch: int, outputs: int, size: Size, options: VitOptions) -> None:
        super().__init__()
        channels, height, breadth = (axis or 0 for axis in field.shape)
        width, layers, heads = size
        self.missing = (0, -breadth % patch, 0, -height % patch)
        self.cut = nn.Conv2d(channels, width, patch, patch)
        self.positions = placed(prod(-(-side // patch) for side in (height, breadth)), width)
        self.drop = nn.Dropout(options.dropout) if options.dropout else nn.Identity()
        self.layers = nn.ModuleList(Block(width, heads, options.dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.last = nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        if any(self.missing):
            x = F.pad(x, self.missing)
        x = self.drop(self.cut(x).flatten(2).transpose(1, 2) + self.positions)  # (B, patches, width)
        for layer in self.layers:
            x = layer(x)
        score: Tensor = self.last(self.norm(x).mean(1))
        return score


def build(spec: Spec, options: VitOptions) -> Vit:
    """Build a vision transformer from images (B, C, H, W) of one size to the score (B, outputs)."""
    field = single_picture("vit", spec, ("image",))
    if None in field.shape:
        raise misfit("vit", "images of one size", spec)
    height, width = (axis or 0 for axis in field.shape[1:])
    patch = options.patch or patch_for(height, width)
    if patch > max(height, width):
        raise BadUsage(
            f"The model 'vit' has patch = {patch}, but an image is {height} x {width}.",
            "Leave model.patch out, or make it smaller.",
        )
    return Vit(field, patch, flat_outputs("vit", spec), size_of("vit", SIZES, options), options)
