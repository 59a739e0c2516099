"""Chapter 11 style: nodule or not, in a volume; forward returns logits and probabilities."""

from __future__ import annotations

import math

from torch import nn


class LunaBlock(nn.Module):
    """Two 3-D convolutions and a pooling that halves every axis."""

    def __init__(self, in_channels: int, conv_channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(in_channels, conv_channels, kernel_size=3, padding=1, bias=True)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv3d(conv_channels, conv_channels, kernel_size=3, padding=1, bias=True)
        self.relu2 = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool3d(2, 2)

    def forward(self, input_batch):
        block_out = self.relu1(self.conv1(input_batch))
        return self.maxpool(self.relu2(self.conv2(block_out)))


class LunaModel(nn.Module):
    """Tail (BatchNorm of the input), a backbone of blocks, and a head of one linear layer."""

    def __init__(self, in_channels: int = 1, conv_channels: int = 4, size: tuple[int, ...] = (8, 12, 12)) -> None:
        super().__init__()
        self.tail_batchnorm = nn.BatchNorm3d(1)
        self.block1 = LunaBlock(in_channels, conv_channels)
        self.block2 = LunaBlock(conv_channels, conv_channels * 2)
        self.head_linear = nn.Linear(conv_channels * 2 * math.prod(n // 4 for n in size), 2)
        self.head_softmax = nn.Softmax(dim=1)
        self._init_weights()

    def _init_weights(self) -> None:
        for m in self.modules():
            if type(m) in {nn.Linear, nn.Conv3d}:
                nn.init.kaiming_normal_(m.weight.data, a=0, mode="fan_out", nonlinearity="relu")
                if m.bias is not None:
                    _, fan_out = nn.init._calculate_fan_in_and_fan_out(m.weight.data)
                    nn.init.normal_(m.bias, -1 / math.sqrt(fan_out), 1 / math.sqrt(fan_out))

    def forward(self, input_batch):
        block_out = self.block2(self.block1(self.tail_batchnorm(input_batch)))
        linear_output = self.head_linear(block_out.view(block_out.size(0), -1))
        return linear_output, self.head_softmax(linear_output)
