"""Geometric augmentations of images and volumes and their masks: flip, crop, affine."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from benchdog.api import BadUsage, Draws, Spec
from benchdog.builtin.augmentations.options import AffineOptions, CropOptions, FlipOptions

Batch = tuple[tuple[Tensor, ...], Tensor]
AXES = {"horizontal": -1, "vertical": -2, "depth": -3}


class GeometricAugmentation:
    """Base class: moves image and volume fields, and the target with them if it is a mask."""

    name = ""
    image_fields: tuple[int, ...] = ()
    masked = False
    dimensions = 2

    def check(self, spec: Spec) -> None:
        """Check that there is an image or volume field; raises BadUsage."""
        kinds = [field.kind for field in spec.fields]
        self.image_fields = tuple(i for i, kind in enumerate(kinds) if kind in ("image", "volume"))
        if not self.image_fields:
            raise BadUsage(f"The augmentation {self.name!r} is for images; the data is {', '.join(kinds)}.")
        self.masked = spec.target.kind == "mask"
        self.dimensions = len(spec.fields[self.image_fields[0]].shape) - 1

    def apply(self, inputs: tuple[Tensor, ...], target: Tensor, draws: Draws) -> Batch:
        """Transform images (B, C, ...) and, if it is a mask, the target (B, ...)."""
        parameters = self.draw(draws)
        moved = tuple(self.move(x, parameters) if i in self.image_fields else x for i, x in enumerate(inputs))
        if self.masked:
            target = self.move(target.unsqueeze(1), parameters, mask=True).squeeze(1)
        return moved, target

    def draw(self, draws: Draws) -> Tensor:
        """Draw the random parameters (B, n)."""
        raise NotImplementedError

    def move(self, x: Tensor, parameters: Tensor, mask: bool = False) -> Tensor:
        """Transform images (B, C, ...)."""
        raise NotImplementedError


class Flip(GeometricAugmentation):
    """Flip each sample along each axis independently."""

    name = "flip"

    def __init__(self, options: FlipOptions) -> None:
        self.options = options

    def check(self, spec: Spec) -> None:
        super().check(spec)
        if "depth" in self.options.axes and self.dimensions < 3:
            raise BadUsage("The augmentation 'flip' has depth among its axes, but the images are 2-D.")

    def draw(self, draws: Draws) -> Tensor:
        return draws.uniform(len(self.options.axes)) < self.options.share

    def move(self, x: Tensor, parameters: Tensor, mask: bool = False) -> Tensor:
        for turn, axis in zip(parameters.unbind(1), self.options.axes, strict=True):
            x = torch.where(turn.view(-1, *[1] * (x.ndim - 1)), x.flip(AXES[axis]), x)
        return x


class Crop(GeometricAugmentation):
    """Shift each sample by whole pixels with zero padding."""

    name = "crop"

    def __init__(self, options: CropOptions) -> None:
        self.options = options

    def check(self, spec: Spec) -> None:
        super().check(spec)
        sides = [side for i in self.image_fields for side in spec.fields[i].shape[1:] if side is not None]
        if sides and self.options.padding >= min(sides):
            raise BadUsage(
                f"The augmentation 'crop' moves by up to {self.options.padding} pixels; a side has {min(sides)}.",
                "Use a smaller padding: an image moved that far is empty.",
            )

    def draw(self, draws: Draws) -> Tensor:
        return (draws.uniform(self.dimensions) * (2 * self.options.padding + 1)).long()

    def move(self, x: Tensor, parameters: Tensor, mask: bool = False) -> Tensor:
        size = x.shape[2:]
        x = F.pad(x, [self.options.padding] * (2 * len(size)))
        for axis, (first, length) in enumerate(zip(parameters.unbind(1), size, strict=True), 2):
            places = first[:, None] + torch.arange(length, device=x.device)  # (B, length)
            shape = [1] * x.ndim
            shape[0], shape[axis] = len(x), length
            x = x.gather(axis, places.view(shape).expand(*x.shape[:axis], length, *x.shape[axis + 1 :]))
        return x


class Affine(GeometricAugmentation):
    """Rotate, shift, scale and shear each sample; volumes rotate about the depth axis and shift along all three."""

    name = "affine"

    def __init__(self, options: AffineOptions) -> None:
        self.options = options

    def draw(self, draws: Draws) -> Tensor:
        return draws.uniform(3 + self.dimensions) * 2 - 1  # (B, turn, scale, shear, shifts)

    def move(self, x: Tensor, parameters: Tensor, mask: bool = False) -> Tensor:
        theta = self.matrix(parameters, x.shape[-2] / x.shape[-1])
        grid = F.affine_grid(theta, list(x.shape), align_corners=False)
        way = {"mode": "nearest", "padding_mode": "zeros"} if mask else {"mode": "bilinear", "padding_mode": "border"}
        moved = F.grid_sample(x.float(), grid, align_corners=False, **way)
        return moved.to(x.dtype) if x.is_floating_point() else moved.round().to(x.dtype)

    def matrix(self, parameters: Tensor, ratio: float) -> Tensor:
        """Return (B, n, n + 1), from output to input coordinates; `ratio` is height / width."""
        options = self.options
        turn = parameters[:, 0] * math.radians(options.degrees)
        scale = torch.exp(parameters[:, 1] * math.log(options.scale))
        shear = torch.tan(parameters[:, 2] * math.radians(options.shear))
        theta = torch.zeros(len(parameters), self.dimensions, self.dimensions + 1, device=parameters.device)
        cos, sin = turn.cos() / scale, turn.sin() / scale
        theta[:, 0, 0], theta[:, 0, 1] = cos, (cos * shear - sin) * ratio  # axes are scaled to -1 .. 1 each
        theta[:, 1, 0], theta[:, 1, 1] = sin / ratio, sin * shear + cos
        if self.dimensions == 3:
            theta[:, 2, 2] = 1 / scale
        theta[:, :, -1] = parameters[:, 3:] * 2 * options.shift
        return theta
