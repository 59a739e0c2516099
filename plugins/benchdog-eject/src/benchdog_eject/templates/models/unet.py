"""A U-Net (arXiv:1505.04597)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchdog_eject.templates.models.convolutions import DIMENSIONS, NORM, convolution, normalization

CHANNELS = 1
WIDTH = 16
LEVELS = 2
OUTPUTS = 2


def double_conv(before: int, after: int) -> nn.Module:
    """Build two convolutions of 3 x 3, each with its norm and ReLU."""
    layers: list[nn.Module] = []
    for channels in (before, after):
        layers += [convolution(channels, after, 3, padding=1, bias=NORM == "none"), *normalization(after), nn.ReLU()]
    return nn.Sequential(*layers)


class UNet(nn.Module):
    """Encoder and decoder with skip connections: (B, C, ...) -> (B, outputs, ...)."""

    def __init__(self) -> None:
        super().__init__()
        up = nn.ConvTranspose2d if DIMENSIONS == 2 else nn.ConvTranspose3d
        widths = [WIDTH << level for level in range(LEVELS + 1)]
        self.down = nn.ModuleList(double_conv(b, w) for b, w in zip([CHANNELS, *widths], widths, strict=False))
        self.pool = (nn.MaxPool2d if DIMENSIONS == 2 else nn.MaxPool3d)(2, 2)
        self.up = nn.ModuleList(up(2 * w, w, 2, 2) for w in reversed(widths[:-1]))
        self.join = nn.ModuleList(double_conv(2 * w, w) for w in reversed(widths[:-1]))
        self.last = convolution(widths[0], OUTPUTS, 1)

    def forward(self, x: Tensor) -> Tensor:
        size = x.shape[2:]
        # zeros, the mean of standardized data, up to multiples of 2**LEVELS
        x = F.pad(x, [n for axis in reversed(size) for n in (0, -axis % (1 << LEVELS))])
        skips = []
        for level, block in enumerate(self.down):
            x = block(self.pool(x) if level else x)
            skips.append(x)
        skips.pop()
        for up, join in zip(self.up, self.join, strict=True):
            x = join(torch.cat([skips.pop(), up(x)], 1))
        logits: Tensor = self.last(x)
        for dim, axis in enumerate(size, 2):
            logits = logits.narrow(dim, 0, axis)
        return logits


def build_model() -> nn.Module:
    """Build the network."""
    return UNet()
