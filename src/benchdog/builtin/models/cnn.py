"""The model `cnn`: a few convolutions, then one hidden layer. Quick, and good for small images."""

from __future__ import annotations

from math import prod

from torch import Tensor, nn

from benchdog.api import Field, Spec
from benchdog.builtin.models.normalization import normalization
from benchdog.builtin.models.options import CnnOptions
from benchdog.builtin.models.spec_checks import convolutions, flat_outputs, positive, single_picture

SMALL = 8
"""Halving continues until no axis is longer."""


class Mean(nn.Module):
    """Average over all positions: (B, C, ...) -> (B, C), for images of any size."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(2).mean(2)


def poolings(field: Field, count: int = 0) -> list[tuple[int, ...]]:
    """Choose the pooling window after each convolution; at least two convolutions, or as many as are wanted.

    An axis is halved while it is longer than 4, so 28 x 28 ends as 7 x 7 and 8 x 8 as 4 x 4. Where an
    axis is free, sizes of 8 and more work.
    """
    if None in field.shape:
        return [(2,) * (len(field.shape) - 1)] * (count or 3)
    size = tuple(axis or 1 for axis in field.shape[1:])
    windows: list[tuple[int, ...]] = []
    while len(windows) < count if count else len(windows) < 2 or max(size) > SMALL:
        windows.append(tuple(2 if axis > 4 else 1 for axis in size))
        size = tuple(axis // window for axis, window in zip(size, windows[-1], strict=True))
    return windows


def build(spec: Spec, options: CnnOptions) -> nn.Sequential:
    """Build a convolutional net from an image (B, C, H, W) or volume to the score (B, outputs)."""
    field = single_picture("cnn", spec, ("image", "volume"))
    outputs = flat_outputs("cnn", spec)
    positive("cnn", "widths", options.widths)
    convolution, pooling, _ = convolutions(field)
    layers: list[nn.Module] = []
    channels, size = spec.channels, field.shape[1:]
    for stage, window in enumerate(poolings(field, len(options.widths))):
        width = options.widths[stage] if options.widths else options.width * min(stage + 1, 2)
        layers.append(convolution(channels, width, 3, padding=1, bias=options.norm == "none"))
        if max(window) > 1:
            layers.append(pooling(window, window))
            size = tuple(axis and axis // by for axis, by in zip(size, window, strict=True))
        # After the pooling: for a quarter of the work, and the same values where nothing is normalised.
        layers += [*normalization(options.norm, width, field), nn.ReLU()]
        channels = width
    if None in size:
        layers += [Mean(), nn.Linear(channels, options.hidden)]
    else:
        layers += [nn.Flatten(), nn.Linear(channels * prod(axis or 1 for axis in size), options.hidden)]
    layers.append(nn.ReLU())
    if options.dropout:
        layers.append(nn.Dropout(options.dropout))
    return nn.Sequential(*layers, nn.Linear(options.hidden, outputs))
