"""The model `detector`: residual stages to a stride of 16, a feature pyramid back to the score's stride."""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor, nn

from benchdog.api import BadUsage, Spec
from benchdog_detection.options import DetectorOptions

STAGES = 4
"""Each halves height and width."""
RARE = -2.2
"""Initial logit of the classes: most cells are background, which must not outweigh the boxes at first."""


def norm(channels: int) -> nn.Module:
    """Return group normalization, which doesn't depend on the batch."""
    return nn.GroupNorm(math.gcd(8, channels), channels)


def layer(before: int, after: int, stride: int = 1) -> nn.Sequential:
    """Return a 3x3 convolution with normalization."""
    return nn.Sequential(nn.Conv2d(before, after, 3, stride, 1, bias=False), norm(after))


class Block(nn.Module):
    """A residual block."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.one, self.two = layer(channels, channels), layer(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.two(F.relu(self.one(x))))


class Detector(nn.Module):
    """Images (B, C, H, W) to scores (B, 4 + classes, h, w)."""

    def __init__(self, channels: int, outputs: int, halvings: int, options: DetectorOptions) -> None:
        super().__init__()
        widths = [options.width * 2 ** min(max(i - 1, 0), 2) for i in range(STAGES)]
        stages = []
        for before, after in zip([channels, *widths[:-1]], widths, strict=True):
            blocks = [Block(after) for _ in range(options.blocks)]
            stages.append(nn.Sequential(layer(before, after, 2), nn.ReLU(), *blocks))
        self.stages = nn.ModuleList(stages)
        self.used = halvings - 1  # the stage whose resolution is the score's
        width = 2 * options.width
        self.lateral = nn.ModuleList(nn.Conv2d(w, width, 1) for w in widths[self.used :])
        self.smooth = nn.Sequential(layer(width, width), nn.ReLU(), layer(width, width), nn.ReLU())
        self.head = nn.Conv2d(width, outputs, 1)
        nn.init.normal_(self.head.weight, std=0.01)
        bias = self.head.bias
        assert bias is not None
        nn.init.constant_(bias, RARE)
        nn.init.constant_(bias[:4], 1.0)

    def forward(self, x: Tensor) -> Tensor:
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        laterals = [lateral(each) for lateral, each in zip(self.lateral, features[self.used :], strict=True)]
        merged = laterals[-1]
        for each in reversed(laterals[:-1]):
            merged = each + F.interpolate(merged, size=each.shape[-2:], mode="nearest")
        score: Tensor = self.head(self.smooth(merged))
        return score


def build(spec: Spec, options: DetectorOptions) -> nn.Module:
    """Build the detector for a score of a cell per 2, 4, 8 or 16 pixels.

    Raises:
        BadUsage: the data isn't images of one size, or the task's score is no such map.
    """
    field, output = spec.fields[0], spec.output
    if len(spec.fields) != 1 or field.kind != "image" or None in field.shape:
        raise BadUsage(
            "The model 'detector' is for images of one size.", "Let the source resize them: --set source.size=256."
        )
    for halvings in range(1, STAGES + 1):
        cells = tuple(math.ceil((side or 1) / 2**halvings) for side in spec.size)
        if spec.target.kind == "boxes" and len(output) == 3 and output[0] and cells == output[1:]:
            return Detector(spec.channels, output[0], halvings, options)
    raise BadUsage(
        f"The model 'detector' returns a map with a cell per 2, 4, 8 or 16 pixels; the task wants {output}.",
        "Use it with --task detection.",
    )
