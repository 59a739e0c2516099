"""The task `classification`: one of several classes per sample."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from benchdog.api import BadUsage, Batch, Meter, Spec

from .metrics import ClassMeter


class Classification:
    """Choose a class: score (B, classes), answer its softmax, target (B,) int64 codes."""

    monitor = "accuracy"
    better = "max"

    def check(self, spec: Spec) -> None:
        if spec.target.kind != "class":
            raise BadUsage(
                f"The task 'classification' needs a class to answer, but the target is a {spec.target.kind}.",
                "Leave the task out, and the one that fits the source is taken.",
            )
        if spec.classes < 2:
            raise BadUsage(
                f"The task 'classification' needs at least 2 classes, but the source names {spec.classes}.",
                "List them in the spec: Target(kind='class', classes=('cat', 'dog')).",
            )

    def output(self, spec: Spec) -> tuple[int | None, ...]:
        return (spec.classes,)

    def head(self, spec: Spec) -> nn.Module:
        return nn.Softmax(dim=1)

    def loss(self, score: Tensor, batch: Batch) -> tuple[Tensor, float | Tensor]:
        return F.cross_entropy(score, batch.target, reduction="sum"), float(len(batch.target))

    def meter(self, spec: Spec) -> Meter:
        return ClassMeter(self.loss, spec.target.classes)
