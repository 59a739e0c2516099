"""The model `resnet`: residual nets of 18 and 34 layers (He et al. 2015, arXiv:1512.03385).

Pictures of up to 64 pixels a side get a 3x3 stem at full size and no max-pooling, as is usual for
CIFAR: the paper's stem would leave 1 x 1 of them. Larger ones, and free sizes, get the paper's: 7x7
with stride 2, then max-pooling. Its BatchNorm makes the result depend on the batch's size.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchdog.api import Spec

from .fit import flat_outputs, single_picture
from .options import ResnetOptions

SMALL = 64
BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}


class Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut; `stride` 2 halves the size."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, width, 3, stride, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, 1, 1, bias=False),
            nn.BatchNorm2d(width),
        )
        self.shortcut = (
            nn.Identity()
            if stride == 1 and channels == width
            else nn.Sequential(nn.Conv2d(channels, width, 1, stride, bias=False), nn.BatchNorm2d(width))
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.body(x) + self.shortcut(x))


class Resnet(nn.Module):
    """Stem, four stages, average, linear: (B, C, H, W) -> (B, outputs)."""

    def __init__(self, channels: int, outputs: int, *, small: bool, options: ResnetOptions) -> None:
        super().__init__()
        width = options.width
        self.stem = nn.Sequential(
            nn.Conv2d(channels, width, 3 if small else 7, 1 if small else 2, 1 if small else 3, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Identity() if small else nn.MaxPool2d(3, 2, 1),
        )
        blocks: list[nn.Module] = []
        before = width
        for stage, count in enumerate(BLOCKS[options.depth]):
            for i in range(count):
                blocks.append(Block(before, width << stage, 2 if stage and not i else 1))
                before = width << stage
        self.blocks = nn.Sequential(*blocks)
        self.last = nn.Linear(before, outputs)
        self.initialise()

    def initialise(self) -> None:
        """Draw the weights as the paper's successors do: each block starts as its shortcut."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if isinstance(module, Block):
                nn.init.zeros_(module.body[-1].weight)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        score: Tensor = self.last(self.blocks(self.stem(x)).mean((2, 3)))
        return score


def build(spec: Spec, options: ResnetOptions) -> nn.Module:
    """Build a residual net from an image (B, C, H, W) to the score (B, outputs)."""
    field = single_picture("resnet", spec, ("image",))
    small = None not in field.shape and max(axis or 0 for axis in field.shape[1:]) <= SMALL
    return Resnet(spec.channels, flat_outputs("resnet", spec), small=small, options=options)
