"""Chapters 12 and 13 style: a U-Net of another file, wrapped in a BatchNorm of the input and a sigmoid."""

from __future__ import annotations

from torch import nn
from unet_parts import UNet


class UNetWrapper(nn.Module):
    """One channel of probabilities for each pixel."""

    def __init__(self, in_channels: int = 1, depth: int = 2, wf: int = 2) -> None:
        super().__init__()
        self.input_batchnorm = nn.BatchNorm2d(in_channels)
        self.unet = UNet(in_channels=in_channels, n_classes=1, depth=depth, wf=wf)
        self.final = nn.Sigmoid()
        self._init_weights()

    def _init_weights(self) -> None:
        for m in self.modules():
            if type(m) in {nn.Conv2d, nn.ConvTranspose2d}:
                nn.init.kaiming_normal_(m.weight.data, mode="fan_out", nonlinearity="relu", a=0)
                nn.init.zeros_(m.bias)

    def forward(self, input_batch):
        return self.final(self.unet(self.input_batchnorm(input_batch)))
