"""The task `segmentation`: a class for each pixel or voxel."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchdog.api import BadUsage, Batch, Meter, Spec

from .metrics import MaskMeter


class Likeliest(nn.Module):
    """Give the class with the highest score: (B, classes, ...) -> (B, ...) uint8."""

    def forward(self, score: Tensor) -> Tensor:
        return score.max(1).indices.to(torch.uint8)


class Segmentation:
    """Choose a class per pixel: score (B, classes, H, W), answer a mask (B, H, W) uint8, target int64.

    The first class is the background. A volume has one axis more. The loss is the cross-entropy summed
    over pixels, its weight their number.
    """

    monitor = "iou"
    better = "max"

    def check(self, spec: Spec) -> None:
        field, target = spec.fields[0], spec.target
        if target.kind != "mask":
            raise BadUsage(
                f"The task 'segmentation' needs a mask to answer, but the target is a {target.kind}.",
                "Leave the task out, and the one that fits the source is taken.",
            )
        if field.kind not in ("image", "volume"):
            raise BadUsage(
                f"The task 'segmentation' needs an image or a volume, but {field.name!r} is {field.kind}.",
                "Put the picture first in the spec's fields.",
            )
        if not 2 <= spec.classes <= 256:
            raise BadUsage(
                f"The task 'segmentation' needs 2 to 256 classes, but the source names {spec.classes}.",
                "List them in the spec: Target(kind='mask', classes=('background', 'cell')).",
            )
        if target.shape != field.shape[1:]:
            raise BadUsage(
                f"The task 'segmentation' needs a mask as large as the picture {field.shape[1:]}, "
                f"but the target's shape is {target.shape}.",
                "Give the target the picture's axes without the channels.",
            )

    def output(self, spec: Spec) -> tuple[int | None, ...]:
        return (spec.classes, *spec.fields[0].shape[1:])

    def head(self, spec: Spec) -> nn.Module:
        return Likeliest()

    def loss(self, score: Tensor, batch: Batch) -> tuple[Tensor, float | Tensor]:
        target = batch.target.long()
        return F.cross_entropy(score, target, reduction="sum"), float(target.numel())

    def meter(self, spec: Spec) -> Meter:
        return MaskMeter(self.loss, spec.target.classes)
