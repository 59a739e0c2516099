"""Geometric augmentations of images and volumes, their masks and boxes: flip, crop, affine."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from benchdog.api import BadUsage, Draws, Spec, Target
from benchdog.builtin.augmentations.options import AffineOptions, CropOptions, FlipOptions

Batch = tuple[tuple[Tensor, ...], Tensor]
AXES = {"horizontal": -1, "vertical": -2, "depth": -3}


class GeometricAugmentation:
    """Base class: moves image and volume fields, and the target with them if it is a mask, an image or boxes."""

    name = ""
    any_size = False
    image_fields: tuple[int, ...] = ()
    masked = False
    target = Target(kind="")
    dimensions = 2

    def check(self, spec: Spec) -> None:
        """Check that there is an image or volume field; raises BadUsage."""
        kinds = [field.kind for field in spec.fields]
        self.image_fields = tuple(i for i, kind in enumerate(kinds) if kind in ("image", "volume"))
        if not self.image_fields:
            raise BadUsage(f"The augmentation {self.name!r} is for images; the data is {', '.join(kinds)}.")
        self.masked = spec.target.kind == "mask"
        self.target = spec.target
        if spec.target.kind == "boxes" and type(self).move_boxes is GeometricAugmentation.move_boxes:
            raise BadUsage(
                f"The augmentation {self.name!r} doesn't move boxes, and the targets are boxes.",
                "Use flip or crop, which do.",
            )
        size = spec.fields[self.image_fields[0]].shape[1:]
        if spec.target.kind == "image" and spec.target.shape[1:] != size and not self.any_size:
            raise BadUsage(
                f"The augmentation {self.name!r} moves an image and its target by the same pixels, but they are of "
                f"{size} and {spec.target.shape[1:]}.",
                "Leave it out, or resize both to one size.",
            )
        self.dimensions = len(spec.fields[self.image_fields[0]].shape) - 1

    def apply(self, inputs: tuple[Tensor, ...], target: Tensor, draws: Draws) -> Batch:
        """Transform images (B, C, ...), and the target (B, ...) if it is a mask, an image or boxes."""
        parameters = self.draw(draws)
        moved = tuple(self.move(x, parameters) if i in self.image_fields else x for i, x in enumerate(inputs))
        if self.masked:
            target = self.move(target.unsqueeze(1), parameters, mask=True).squeeze(1)
        if self.target.kind == "image":
            target = self.move(target, parameters)
        if self.target.kind == "boxes":
            height, width = inputs[self.image_fields[0]].shape[-2:]
            real = self.target.real_rows(target)[..., None]
            target = torch.where(real, self.move_boxes(target, parameters, width, height), target)
        return moved, target

    def move_boxes(self, boxes: Tensor, parameters: Tensor, width: int, height: int) -> Tensor:
        """Transform boxes (B, n, 5) in pixels like the images; rows of padding are restored afterwards."""
        raise NotImplementedError

    def draw(self, draws: Draws) -> Tensor:
        """Draw the random parameters (B, n)."""
        raise NotImplementedError

    def move(self, x: Tensor, parameters: Tensor, mask: bool = False) -> Tensor:
        """Transform images (B, C, ...)."""
        raise NotImplementedError


class Flip(GeometricAugmentation):
    """Flip each sample along each axis independently."""

    name = "flip"
    any_size = True

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

    def move_boxes(self, boxes: Tensor, parameters: Tensor, width: int, height: int) -> Tensor:
        for turn, axis in zip(parameters.unbind(1), self.options.axes, strict=True):
            x1, y1, x2, y2, code = boxes.unbind(-1)
            sides = (width - x2, y1, width - x1, y2) if axis == "horizontal" else (x1, height - y2, x2, height - y1)
            boxes = torch.where(turn[:, None, None], torch.stack([*sides, code], -1), boxes)
        return boxes


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

    def move_boxes(self, boxes: Tensor, parameters: Tensor, width: int, height: int) -> Tensor:
        """Shift boxes and cut them off at the image's edges; one that is outside becomes padding."""
        shift = self.options.padding - parameters.flip(1)  # (B, 2): x, y
        sides = boxes[..., :4] + shift.repeat(1, 2)[:, None]
        sides = torch.minimum(sides.clamp(min=0), sides.new_tensor([width, height, width, height]))
        inside = (sides[..., 2:] - sides[..., :2] >= 1).all(-1, keepdim=True)
        moved = torch.cat([sides, boxes[..., 4:]], -1)
        return torch.where(inside, moved, self.target.padding if self.target.padding is not None else 0.0)


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
