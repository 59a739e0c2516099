"""The model `resnet`: residual nets of 10 to 50 layers (He et al. 2015, arXiv:1512.03385), for volumes too.

Images of up to 64 pixels a side, and volumes of up to 32, get a stem of 3 at full size and no max-pooling, as is
usual for CIFAR: the paper's stem would leave 1 x 1 of them. Larger ones, and free sizes, get the paper's: 7 with
stride 2, then max-pooling. Its BatchNorm makes the result depend on the batch's size.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from benchdog.api import Field, Spec
from benchdog.builtin.models.options import ResnetOptions
from benchdog.builtin.models.spec_checks import convolutions, flat_outputs, single_picture

SMALL = {"image": 64, "volume": 32}
BLOCKS = {10: (1, 1, 1, 1), 18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3)}
NARROW = 4
"""A block of the net of 50 layers works on a quarter of its channels."""

Layers = Callable[..., list[nn.Module]]


def layers_of(field: Field) -> Layers:
    """Return the function that makes a convolution and its normalization."""
    convolution, _, _ = convolutions(field)
    norm = nn.BatchNorm2d if field.kind == "image" else nn.BatchNorm3d

    def make(before: int, after: int, size: int, stride: int = 1) -> list[nn.Module]:
        return [convolution(before, after, size, stride, size // 2, bias=False), norm(after)]

    return make


class Block(nn.Module):
    """Two convolutions of 3, or with `deep` three of 1, 3 and 1, next to a shortcut; `stride` 2 halves the size."""

    def __init__(self, make: Layers, channels: int, width: int, stride: int, deep: bool) -> None:
        super().__init__()
        after = width * (NARROW if deep else 1)
        if deep:
            parts = [make(channels, width, 1), make(width, width, 3, stride), make(width, after, 1)]
        else:
            parts = [make(channels, width, 3, stride), make(width, after, 3)]
        body = [layer for part in parts for layer in (*part, nn.ReLU())]
        self.body = nn.Sequential(*body[:-1])
        same = stride == 1 and channels == after
        self.shortcut = nn.Identity() if same else nn.Sequential(*make(channels, after, 1, stride))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.body(x) + self.shortcut(x))


class Resnet(nn.Module):
    """Stem, four stages, average, linear: (B, C, H, W) or (B, C, D, H, W) -> (B, outputs)."""

    def __init__(self, field: Field, outputs: int, *, small: bool, options: ResnetOptions) -> None:
        super().__init__()
        make, width, deep = layers_of(field), options.width, options.depth == 50
        _, pooling, _ = convolutions(field)
        self.stem = nn.Sequential(
            *make(field.shape[0] or 0, width, 3 if small else 7, 1 if small else 2),
            nn.ReLU(),
            nn.Identity() if small else pooling(3, 2, 1),
        )
        blocks: list[nn.Module] = []
        before = width
        for stage, count in enumerate(BLOCKS[options.depth]):
            for i in range(count):
                blocks.append(Block(make, before, width << stage, 2 if stage and not i else 1, deep))
                before = (width << stage) * (NARROW if deep else 1)
        self.blocks = nn.Sequential(*blocks)
        self.last = nn.Linear(before, outputs)
        self.initialize()

    def initialize(self) -> None:
        """Draw the weights as the paper's successors do: each block starts as its shortcut."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if isinstance(module, Block):
                nn.init.zeros_(module.body[-1].weight)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        score: Tensor = self.last(self.blocks(self.stem(x)).flatten(2).mean(2))
        return score


def build(spec: Spec, options: ResnetOptions) -> Resnet:
    """Build a residual net from an image (B, C, H, W) or a volume to the score (B, outputs)."""
    field = single_picture("resnet", spec, ("image", "volume"))
    small = None not in field.shape and max(axis or 0 for axis in field.shape[1:]) <= SMALL[field.kind]
    return Resnet(field, flat_outputs("resnet", spec), small=small, options=options)
