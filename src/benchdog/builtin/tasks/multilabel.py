"""The task `multi-label`: which of several labels are true of a sample."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchdog.api import BadData, BadUsage, Batch, Meter, MetricSet, Spec
from benchdog.builtin.tasks.losses.classes import summed
from benchdog.builtin.tasks.metrics.multilabel import LabelMeter
from benchdog.builtin.tasks.metrics.per_sample import LABEL_METRICS, label_statistics
from benchdog.builtin.tasks.options import LabelsOptions


class MultiLabel:
    """Say of each label whether it is true: score (B, labels), answer its sigmoid, target (B, labels) of 0 and 1.

    The loss is the binary cross-entropy summed over labels, its weight the number of labels.
    """

    monitor = "macro_f1"
    better = "max"
    weighs = True
    usual_scores = True

    def __init__(self, options: LabelsOptions | None = None) -> None:
        self.options = options or LabelsOptions()
        self._positive: Tensor | None = None

    def check(self, spec: Spec) -> None:
        target = spec.target
        if target.kind != "labels":
            raise BadUsage(
                f"The task 'multi-label' needs labels to answer, but the target is a {target.kind}.",
                'A table gives them with source.target = ["a", "b"], columns of 0 and 1; image-folder with '
                'source.label_separator = ";".',
            )
        if not target.classes or target.shape != (len(target.classes),):
            raise BadUsage(
                f"The task 'multi-label' needs a row of named labels, but the source names {len(target.classes)} "
                f"and the target's shape is {target.shape}.",
                "Set the target's classes to the labels' names and its shape to (labels,).",
            )

    def fit(self, targets: Iterable[Tensor]) -> None:
        """Compute what a true label counts: as often as it isn't true, relative to how often it is."""
        if self.options.pos_weight != "balanced":
            return
        true, count = torch.zeros(0, dtype=torch.float64), 0
        for piece in targets:
            rows = piece.detach().cpu().double()
            true = rows.sum(0) + (true if count else 0)
            count += len(rows)
        if not count:
            raise BadData("The training split has no target.", "Balanced weights need some.")
        self._positive = ((count - true).clamp(min=1) / true.clamp(min=1)).float()

    def state(self) -> dict[str, Any]:
        """Return what `fit` learned, for `restore`."""
        return {} if self._positive is None else {"pos_weight": self._positive.tolist()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up what another `fit` learned."""
        if "pos_weight" in state:
            self._positive = torch.tensor(state["pos_weight"], dtype=torch.float32)

    def output(self, spec: Spec) -> tuple[int | None, ...]:
        return (spec.classes,)

    def head(self, spec: Spec) -> nn.Module:
        return nn.Sigmoid()

    def loss(self, score: Tensor, batch: Batch) -> tuple[Tensor, float | Tensor]:
        assert self.options.pos_weight == "none" or self._positive is not None, "weights are fitted before a loss"
        if self._positive is not None and self._positive.device != score.device:
            self._positive = self._positive.to(score.device)
        target = batch.target.float()
        how, by = "sum" if batch.weight is None else "none", batch.weight
        total = F.binary_cross_entropy_with_logits(score.float(), target, reduction=how, pos_weight=self._positive)
        if by is None:
            return total, float(target.numel())
        return summed(total, by), by.sum() * target.shape[1]

    def meter(self, spec: Spec) -> Meter:
        return LabelMeter(self.loss, spec.target.classes)

    def metrics(self, spec: Spec) -> MetricSet:
        return MetricSet(metrics=LABEL_METRICS, per_sample=label_statistics)
