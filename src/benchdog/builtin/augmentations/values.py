"""Value augmentations: color jitter, noise, cut-out."""

from __future__ import annotations

import torch
from torch import Tensor

from benchdog.api import BadUsage, Draws, Field, Spec
from benchdog.builtin.augmentations.options import ColorOptions, CutOutOptions, NoiseOptions

Batch = tuple[tuple[Tensor, ...], Tensor]
IMAGE_KINDS = ("image", "volume")


def to_storage_type(values: Tensor, like: Tensor, field: Field) -> Tensor:
    """Convert floats back to the storage dtype, clamped to the field's range."""
    low, high = field.range or (None, None)
    if not like.is_floating_point():
        limits = torch.iinfo(like.dtype)
        low, high = max(limits.min, low or limits.min), min(limits.max, high or limits.max)
        values = values.round()
    return (values if low is None else values.clamp(low, high)).to(like.dtype)


class ValueAugmentation:
    """Base class: changes fields of some kinds, and leaves the target alone."""

    name = ""
    kinds: tuple[str, ...] = IMAGE_KINDS
    fields: tuple[Field, ...] = ()

    def check(self, spec: Spec) -> None:
        """Check that there is a field of these kinds; raises BadUsage."""
        self.fields = spec.fields
        if not any(field.kind in self.kinds for field in spec.fields):
            found = ", ".join(field.kind for field in spec.fields)
            raise BadUsage(f"The augmentation {self.name!r} is for {', '.join(self.kinds)}; the data is {found}.")

    def apply(self, inputs: tuple[Tensor, ...], target: Tensor, draws: Draws) -> Batch:
        """Change the fields of the right kinds; the target stays."""
        pairs = zip(inputs, self.fields, strict=True)
        return tuple(self.change(x, field, draws) if field.kind in self.kinds else x for x, field in pairs), target

    def change(self, x: Tensor, field: Field, draws: Draws) -> Tensor:
        """Change a field (B, ...)."""
        raise NotImplementedError


class Color(ValueAugmentation):
    """Jitter each image's brightness, contrast and, with three channels, saturation."""

    name = "color"

    def __init__(self, options: ColorOptions) -> None:
        self.options = options

    def change(self, x: Tensor, field: Field, draws: Draws) -> Tensor:
        options = self.options
        shape = (-1, *[1] * (x.ndim - 1))
        by = [1 + width * (2 * u - 1).view(shape) for width, u in zip(
            (options.brightness, options.contrast, options.saturation), draws.uniform(3).unbind(1), strict=True
        )]  # fmt: skip
        values = x.float() * by[0]
        if x.shape[1] == 3:
            gray = (values * values.new_tensor([0.299, 0.587, 0.114]).view(1, 3, *[1] * (x.ndim - 2))).sum(1, True)
            values = gray + (values - gray) * by[2]
        mean = values.flatten(1).mean(1).view(shape)
        return to_storage_type(mean + (values - mean) * by[1], x, field)


class Noise(ValueAugmentation):
    """Add Gaussian noise to every value, except missing values and category codes of tables."""

    name = "noise"
    kinds = ("image", "volume", "audio", "table")

    def __init__(self, options: NoiseOptions) -> None:
        self.options = options

    def change(self, x: Tensor, field: Field, draws: Draws) -> Tensor:
        width = field.range[1] - field.range[0] if field.range else 1.0
        noise = draws.normal(*x.shape[1:]) * (self.options.std * width)
        if field.columns:
            noise = noise * noise.new_tensor([float(not column.categories) for column in field.columns])
        return to_storage_type(x.float() + noise, x, field)


class CutOut(ValueAugmentation):
    """Erase a random square of each image with the lowest value (arXiv:1708.04552)."""

    name = "cut-out"

    def __init__(self, options: CutOutOptions) -> None:
        self.options = options

    def change(self, x: Tensor, field: Field, draws: Draws) -> Tensor:
        dimensions = x.ndim - 2
        drawn = draws.uniform(1 + dimensions)
        inside = (drawn[:, 0] < self.options.share).view(-1, *[1] * (dimensions + 1))
        for axis, (place, length) in enumerate(zip(drawn[:, 1:].unbind(1), x.shape[2:], strict=True), 2):
            side = max(1, round(self.options.size * length))
            first = (place * (length - side + 1)).floor()[:, None]
            spots = torch.arange(length, device=x.device)
            hit = (spots >= first) & (spots < first + side)  # (B, length)
            inside = inside & hit.view([len(x) if a == 0 else length if a == axis else 1 for a in range(x.ndim)])
        low = field.range[0] if field.range else 0
        return torch.where(inside, torch.tensor(low, dtype=x.dtype, device=x.device), x)
