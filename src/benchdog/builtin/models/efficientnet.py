"""The model `efficientnet-lite0`: inverted residuals without attention (Tan & Le 2019, arXiv:1905.11946, Lite).

Its trained weights come from TensorFlow, whose "same" padding of a convolution with stride 2 is uneven: where
the size is even, the row and column more lie below and to the right.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchdog.api import Spec
from benchdog.builtin.models.options import EfficientNetOptions
from benchdog.builtin.models.spec_checks import flat_outputs, single_picture

STAGES = (  # blocks, kernel, stride of the first, expansion, channels
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
STEM, TOP = 32, 1280


class SameConv(nn.Conv2d):
    """A convolution that gives ceil(size / stride) pixels a side, padded as TensorFlow does."""

    def __init__(self, before: int, after: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        even = kernel // 2 if stride == 1 else 0
        super().__init__(before, after, kernel, stride, even, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        if self.stride[0] == 1:
            return super().forward(x)
        below, right = (kernel - 2 + size % 2 for kernel, size in zip(self.kernel_size, x.shape[2:], strict=True))
        x = F.pad(x, (right // 2, right - right // 2, below // 2, below - below // 2))
        return super().forward(x)


def unit(before: int, after: int, kernel: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    """Give a convolution and its norm, whose epsilon is that of the trained weights."""
    return [SameConv(before, after, kernel, stride, groups), nn.BatchNorm2d(after, eps=1e-3)]


class Block(nn.Module):
    """Widen, look at the neighbours channel by channel, narrow; beside a shortcut where nothing changes size."""

    def __init__(self, before: int, after: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        width = before * expansion
        widen = [*unit(before, width, 1), nn.ReLU6()] if expansion > 1 else []
        self.expand = nn.Sequential(*widen)
        self.depthwise = nn.Sequential(*unit(width, width, kernel, stride, groups=width), nn.ReLU6())
        self.project = nn.Sequential(*unit(width, after, 1))
        self.shortcut = stride == 1 and before == after

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.project(self.depthwise(self.expand(x)))
        return x + y if self.shortcut else y


class EfficientNetLite0(nn.Module):
    """Stem, 16 blocks, top, average, linear: (B, C, H, W) -> (B, outputs); any size of pictures."""

    def __init__(self, channels: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.stem = nn.Sequential(*unit(channels, STEM, 3, 2), nn.ReLU6())
        blocks: list[nn.Module] = []
        before = STEM
        for count, kernel, stride, expansion, after in STAGES:
            for i in range(count):
                blocks.append(Block(before, after, kernel, 1 if i else stride, expansion))
                before = after
        self.blocks = nn.Sequential(*blocks)
        self.top = nn.Sequential(*unit(before, TOP, 1), nn.ReLU6())
        self.dropout = nn.Dropout(dropout)
        self.last = nn.Linear(TOP, outputs)
        self.initialise()

    def initialise(self) -> None:
        """Draw the weights as the paper's authors do; the last layer's are small, so that no class is favoured."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                fan = module.kernel_size[0] * module.kernel_size[1] * module.out_channels // module.groups
                nn.init.normal_(module.weight, std=(2.0 / fan) ** 0.5)
        nn.init.normal_(self.last.weight, std=0.01)
        nn.init.zeros_(self.last.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = self.top(self.blocks(self.stem(x)))
        score: Tensor = self.last(self.dropout(torch.mean(x, (2, 3))))
        return score


def build(spec: Spec, options: EfficientNetOptions) -> nn.Module:
    """Build the net from an image (B, C, H, W) to the score (B, outputs)."""
    single_picture("efficientnet-lite0", spec, ("image",))
    return EfficientNetLite0(spec.channels, flat_outputs("efficientnet-lite0", spec), options.dropout)
