"""The model `unet`: a score for every pixel of an image or voxel of a volume (arXiv:1505.04597)."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchdog.api import BadUsage, Field, Spec
from benchdog.builtin.models.normalization import normalization
from benchdog.builtin.models.options import UnetOptions
from benchdog.builtin.models.spec_checks import convolutions, shape, single_picture


def levels_for(field: Field) -> int:
    """Choose how often to halve: the coarsest level keeps at least 4 positions a side, 2 to 4 times."""
    sides = [axis for axis in field.shape[1:] if axis is not None]
    if len(sides) < len(field.shape) - 1:
        return 3
    return max(2, min(4, (min(sides) // 4).bit_length() - 1))


class Unet(nn.Module):
    """Encoder, decoder, shortcuts between them: (B, C, H, W) -> (B, outputs, H, W), and so for volumes.

    An input is padded with zeros, the mean of standardized data, at the end of each axis to a multiple
    of 2**levels; the score is cut back to the input's size. With deep supervision, training gets a dict: the
    score, and as "auxiliary" (share, score) of each coarser level but the last, brought to the input's size.
    """

    def __init__(self, field: Field, outputs: int, levels: int, options: UnetOptions) -> None:
        super().__init__()
        convolution, pooling, up = convolutions(field)

        def double(before: int, after: int) -> nn.Module:
            layers: list[nn.Module] = []
            for channels in (before, after):
                layers.append(convolution(channels, after, 3, padding=1, bias=options.norm == "none"))
                layers += [*normalization(options.norm, after, field), nn.ReLU()]
            return nn.Sequential(*layers)

        widths = [options.width << level for level in range(levels + 1)]
        before = [field.shape[0] or 0, *widths]
        self.down = nn.ModuleList(double(b, w) for b, w in zip(before, widths, strict=False))
        self.pool = pooling(2, 2)
        self.up = nn.ModuleList(up(2 * w, w, 2, 2) for w in reversed(widths[:-1]))
        self.join = nn.ModuleList(double(2 * w, w) for w in reversed(widths[:-1]))
        self.last = convolution(widths[0], outputs, 1)
        # The finest first; the coarsest of all, where the way up begins, has none.
        coarse = widths[1:-1] if options.deep_supervision else []
        self.coarse = nn.ModuleList(convolution(width, outputs, 1) for width in coarse)
        self.multiple = 1 << levels
        self.free = [axis is None for axis in field.shape[1:]]
        self.fits = all(axis is not None and axis % self.multiple == 0 for axis in field.shape[1:])

    def missing(self, length: int, free: bool) -> int:
        """Return what an axis lacks to a multiple.

        At least 1 where it is free: torch.export would else take "nothing to pad" for a law of the input.
        """
        return self.multiple - length % self.multiple if free else -length % self.multiple

    def forward(self, x: Tensor) -> Tensor | dict[str, Any]:
        size = x.shape[2:]
        if not self.fits:
            missing = [self.missing(n, free) for n, free in zip(size, self.free, strict=True)]
            x = F.pad(x, [n for last in reversed(missing) for n in (0, last)])
        shortcuts = []
        for level, block in enumerate(self.down):
            x = block(self.pool(x) if level else x)
            shortcuts.append(x)
        shortcuts.pop()
        steps = []
        for up, join in zip(self.up, self.join, strict=True):
            x = join(torch.cat([shortcuts.pop(), up(x)], 1))
            steps.append(x)
        score = self.fitted(self.last(x), size)
        if not self.training or not self.coarse:
            return score
        auxiliary = []
        for level, (judge, step) in enumerate(zip(self.coarse, reversed(steps[:-1]), strict=True), 1):
            auxiliary.append((0.5**level, self.fitted(F.interpolate(judge(step), x.shape[2:]), size)))
        return {"score": score, "auxiliary": auxiliary}

    def fitted(self, score: Tensor, size: torch.Size) -> Tensor:
        """Cut a score back to the input's size."""
        if not self.fits:
            for axis, length in enumerate(size, 2):
                score = score.narrow(axis, 0, length)
        return score


def build(spec: Spec, options: UnetOptions) -> Unet:
    """Build a U-Net from an image or volume to a score of the same size (B, outputs, ...)."""
    field = single_picture("unet", spec, ("image", "volume"))
    if len(spec.output) != len(field.shape) or spec.output[1:] != field.shape[1:]:
        raise BadUsage(
            f"The model 'unet' gives a score of the input's size {shape(field.shape[1:])}, "
            f"but the task wants {shape(spec.output)}.",
            "Models for a class or numbers per image: cnn, resnet, vit.",
        )
    return Unet(field, spec.outputs, options.levels or levels_for(field), options)
