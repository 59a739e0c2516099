"""A residual network (He et al. 2015, arXiv:1512.03385)."""

import torch
from torch import Tensor, nn

from benchdog_eject.templates.models.convolutions import DIMENSIONS, convolution, normalization

CHANNELS = 1
WIDTH = 64
BLOCKS = [2, 2, 2, 2]
BOTTLENECK = 1  # 4: three convolutions per block, on a quarter of its channels
SMALL_INPUT = True  # a stem of 3 x 3 without pooling
OUTPUTS = 10


def conv_norm(before: int, after: int, kernel: int, stride: int = 1) -> list[nn.Module]:
    """Build a convolution and its batch norm."""
    return [convolution(before, after, kernel, stride, kernel // 2, bias=False), *normalization(after)]


class Block(nn.Module):
    """Two or three convolutions with a shortcut; `stride` 2 halves the size."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        after = width * BOTTLENECK
        if BOTTLENECK > 1:
            parts = [conv_norm(channels, width, 1), conv_norm(width, width, 3, stride), conv_norm(width, after, 1)]
        else:
            parts = [conv_norm(channels, width, 3, stride), conv_norm(width, after, 3)]
        layers = [layer for part in parts for layer in (*part, nn.ReLU())]
        self.body = nn.Sequential(*layers[:-1])
        same = stride == 1 and channels == after
        self.shortcut = nn.Identity() if same else nn.Sequential(*conv_norm(channels, after, 1, stride))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.body(x) + self.shortcut(x))


class ResNet(nn.Module):
    """Stem, four stages, global average, linear: (B, C, ...) -> (B, outputs)."""

    def __init__(self) -> None:
        super().__init__()
        pool = (nn.MaxPool2d if DIMENSIONS == 2 else nn.MaxPool3d)(3, 2, 1)
        self.stem = nn.Sequential(
            *conv_norm(CHANNELS, WIDTH, 3 if SMALL_INPUT else 7, 1 if SMALL_INPUT else 2),
            nn.ReLU(),
            nn.Identity() if SMALL_INPUT else pool,
        )
        blocks: list[nn.Module] = []
        before = WIDTH
        for stage, count in enumerate(BLOCKS):
            for i in range(count):
                blocks.append(Block(before, WIDTH << stage, 2 if stage and not i else 1))
                before = (WIDTH << stage) * BOTTLENECK
        self.blocks = nn.Sequential(*blocks)
        self.last = nn.Linear(before, OUTPUTS)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if isinstance(module, Block):  # each block starts as its shortcut
                nn.init.zeros_(module.body[-1].get_parameter("weight"))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.last(self.blocks(self.stem(x)).flatten(2).mean(2))
        return logits


def build_model() -> nn.Module:
    """Build the network."""
    return ResNet()
