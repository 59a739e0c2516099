"""The task `segmentation`: a class for each pixel or voxel."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from benchdog.api import BadUsage, Batch, Meter, MetricSet, Spec
from benchdog.builtin.tasks.losses.class_weights import Balanced, ClassWeights
from benchdog.builtin.tasks.losses.classes import ClassLoss, CrossEntropy, PerClass, focal_terms
from benchdog.builtin.tasks.losses.dice import Dice, DiceAndCrossEntropy
from benchdog.builtin.tasks.metrics.meters import MaskMeter
from benchdog.builtin.tasks.metrics.per_sample import MASK_METRICS, MaskStatistics
from benchdog.builtin.tasks.options import SegmentationOptions


class Likeliest(nn.Module):
    """Take the class with the highest score: (B, classes, ...) -> (B, ...) uint8."""

    def forward(self, score: Tensor) -> Tensor:
        return score.max(1).indices.to(torch.uint8)


class Segmentation(Balanced):
    """Choose a class per pixel: score (B, classes, H, W), answer a mask (B, H, W) uint8, target int64.

    The first class is the background. A volume has one axis more. A loss per pixel is summed over pixels, and
    its weight is what they count; a loss per sample is summed over samples. `ignore` is a code whose pixels
    count nowhere; None when every pixel does. Dice over the batch doesn't add up.
    """

    monitor = "iou"
    better = "max"
    weighs = True
    usual_scores = True

    def __init__(self, options: SegmentationOptions | None = None) -> None:
        self.options = options = options or SegmentationOptions()
        self.ignore = options.ignore
        self.adds_up = options.loss != "batch-dice"
        self.weights = ClassWeights(options.class_weights, options.ignore)
        losses: dict[str, ClassLoss] = {
            "cross-entropy": CrossEntropy(ignore=options.ignore),
            "focal": PerClass(focal_terms(options.gamma), ignore=options.ignore),
            "dice": Dice(options.ignore),
            "dice+cross-entropy": DiceAndCrossEntropy(options.ignore),
            "batch-dice": Dice(options.ignore, over_batch=True),
        }
        self._loss = losses[options.loss]

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
                "Put the image first in the spec's fields.",
            )
        if not 2 <= spec.classes <= 256:
            raise BadUsage(
                f"The task 'segmentation' needs 2 to 256 classes, but the source names {spec.classes}.",
                "List them in the spec: Target(kind='mask', classes=('background', 'cell')).",
            )
        if target.shape != field.shape[1:]:
            raise BadUsage(
                f"The task 'segmentation' needs a mask as large as the image {field.shape[1:]}, "
                f"but the target's shape is {target.shape}.",
                "Use the image's axes without the channels as the target's shape.",
            )
        if self.ignore is not None and not spec.classes <= self.ignore <= np.iinfo(target.dtype).max:
            raise BadUsage(
                f"ignore = {self.ignore} of the task 'segmentation' is not a code beyond the {spec.classes} classes "
                f"that a mask of {target.dtype} can hold.",
                "255 is usual. A class that is to count nothing: class_weights = { NAME = 0.0 }.",
            )
        self.weights.check(spec, "segmentation")
        given = self.weights.given
        if (
            isinstance(given, Mapping)
            and "dice" in self.options.loss
            and not any(given.get(c, 1.0) for c in target.classes[1:])
        ):
            raise BadUsage(
                "class_weights of 'segmentation' let no class but the background count.",
                "Dice compares the others: give one of them more than 0.",
            )

    def output(self, spec: Spec) -> tuple[int | None, ...]:
        return (spec.classes, *spec.fields[0].shape[1:])

    def head(self, spec: Spec) -> nn.Module:
        return Likeliest()

    def loss(self, score: Tensor, batch: Batch) -> tuple[Tensor, float | Tensor]:
        return self._loss(score, batch.target, self.weights, batch.weight)

    def meter(self, spec: Spec) -> Meter:
        return MaskMeter(self.loss, spec.target.classes, self.ignore)

    def metrics(self, spec: Spec) -> MetricSet:
        return MetricSet(metrics=MASK_METRICS, per_sample=MaskStatistics(spec.classes, self.ignore))
