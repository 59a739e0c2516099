"""The model `efficientnet-lite0`: inverted residuals without attention (Tan & Le 2019, arXiv:1905.11946, Lite).

timm has the same network as `tf_efficientnet_lite0`, and a test compares the two. This one keeps the parameter names
and layer groups that artifacts, checkpoints and recipes (`trainer.freeze`) refer to, and runs where timm can't be
imported. Its weights come from TensorFlow, whose "same" padding of a convolution with stride 2 is uneven: where the
size is even, the extra row and column are at the bottom and at the right.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchdog.api import BadUsage, Spec
from benchdog_timm.options import EfficientNetOptions

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
    """A convolution with ceil(size / stride) output pixels per side, padded as TensorFlow does."""

    def __init__(self, before: int, after: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        padding = kernel // 2 if stride == 1 else 0
        super().__init__(before, after, kernel, stride, padding, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        if self.stride[0] == 1:
            return super().forward(x)
        # for stride 2, max((ceil(size / 2) - 1) * 2 + kernel - size, 0), exportable for free sizes
        below, right = (kernel - 2 + size % 2 for kernel, size in zip(self.kernel_size, x.shape[2:], strict=True))
        x = F.pad(x, (right // 2, right - right // 2, below // 2, below - below // 2))
        return super().forward(x)


def conv_norm(before: int, after: int, kernel: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    """Return a convolution and its batch norm, whose epsilon is that of the published weights."""
    return [SameConv(before, after, kernel, stride, groups), nn.BatchNorm2d(after, eps=1e-3)]


class Block(nn.Module):
    """Inverted residual: expand, depthwise convolution, project; with a shortcut where the shape stays the same."""

    def __init__(self, before: int, after: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        width = before * expansion
        expand = [*conv_norm(before, width, 1), nn.ReLU6()] if expansion > 1 else []
        self.expand = nn.Sequential(*expand)
        self.depthwise = nn.Sequential(*conv_norm(width, width, kernel, stride, groups=width), nn.ReLU6())
        self.project = nn.Sequential(*conv_norm(width, after, 1))
        self.shortcut = stride == 1 and before == after

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.project(self.depthwise(self.expand(x)))
        return x + y if self.shortcut else y


class EfficientNetLite0(nn.Module):
    """Stem, 16 blocks, top, global average, linear: (B, C, H, W) -> (B, outputs), for images of any size."""

    def __init__(self, channels: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.stem = nn.Sequential(*conv_norm(channels, STEM, 3, 2), nn.ReLU6())
        blocks: list[nn.Module] = []
        before = STEM
        for count, kernel, stride, expansion, after in STAGES:
            for i in range(count):
                blocks.append(Block(before, after, kernel, 1 if i else stride, expansion))
                before = after
        self.blocks = nn.Sequential(*blocks)
        self.top = nn.Sequential(*conv_norm(before, TOP, 1), nn.ReLU6())
        self.dropout = nn.Dropout(dropout)
        self.last = nn.Linear(TOP, outputs)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Initialize weights as the paper's authors do; the head's are small, so that no class is favored."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels // module.groups
                nn.init.normal_(module.weight, std=(2.0 / fan_out) ** 0.5)
        nn.init.normal_(self.last.weight, std=0.01)
        nn.init.zeros_(self.last.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = self.top(self.blocks(self.stem(x)))
        logits: Tensor = self.last(self.dropout(torch.mean(x, (2, 3))))
        return logits


def build(spec: Spec, options: EfficientNetOptions) -> nn.Module:
    """Build the network from an image (B, C, H, W) to logits (B, outputs).

    Raises:
        BadUsage: the data isn't a single image, or the task needs another output shape.
    """
    if len(spec.fields) != 1 or spec.fields[0].kind != "image" or not spec.channels:
        raise BadUsage(
            "The model 'efficientnet-lite0' needs one image with a fixed number of channels, but the data is "
            f"{', '.join(field.kind for field in spec.fields)}.",
            "Choose another --model.",
        )
    if len(spec.output) != 1 or not spec.outputs:
        raise BadUsage(
            "The model 'efficientnet-lite0' returns one row of values per image, the task needs another shape.",
            "For a mask: unet.",
        )
    return EfficientNetLite0(spec.channels, spec.outputs, options.dropout)
