"""The U-Net that ch13_unet.py imports."""

from __future__ import annotations

import torch
from torch import nn


class UNet(nn.Module):
    """Down and up again, `depth` levels, 2**wf channels at the top; the output has the input's size."""

    def __init__(self, in_channels: int, n_classes: int, depth: int, wf: int) -> None:
        super().__init__()
        widths = [2 ** (wf + level) for level in range(depth)]
        self.down_path = nn.ModuleList()
        previous = in_channels
        for width in widths:
            self.down_path.append(conv_block(previous, width))
            previous = width
        self.up_path = nn.ModuleList()
        for width in reversed(widths[:-1]):
            self.up_path.append(UpBlock(previous, width))
            previous = width
        self.last = nn.Conv2d(previous, n_classes, kernel_size=1)

    def forward(self, x):
        bridges = []
        for i, down in enumerate(self.down_path):
            x = down(x)
            if i != len(self.down_path) - 1:
                bridges.append(x)
                x = nn.functional.max_pool2d(x, 2)
        for i, up in enumerate(self.up_path):
            x = up(x, bridges[-i - 1])
        return self.last(x)


class UpBlock(nn.Module):
    """Upsample by a transposed convolution, join the bridge, convolve."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(n_in, n_out, kernel_size=2, stride=2)
        self.conv_block = conv_block(2 * n_out, n_out)

    def forward(self, x, bridge):
        return self.conv_block(torch.cat([self.up(x), bridge], 1))


def conv_block(n_in: int, n_out: int) -> nn.Sequential:
    """Return two convolutions with normalization."""
    layers = []
    for n in (n_in, n_out):
        layers += [nn.Conv2d(n, n_out, kernel_size=3, padding=1), nn.ReLU(), nn.BatchNorm2d(n_out)]
    return nn.Sequential(*layers)
