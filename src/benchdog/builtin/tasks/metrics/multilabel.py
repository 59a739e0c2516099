"""The meter of several labels per sample."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchdog.api import Batch, Metric
from benchdog.builtin.tasks.metrics import definitions as d
from benchdog.builtin.tasks.metrics.meters import Loss, RankingMeter, class_table, wide
from benchdog.builtin.tasks.metrics.per_sample import LABEL_METRICS

Array = NDArray[Any]
HALF = 0.0
"""The logit of a probability of one half: from there on a label is predicted."""


class LabelMeter(RankingMeter):
    """Metrics of logits (B, labels) against 0 and 1 (B, labels); also per_class.

    roc_auc and mean_average_precision, means over the labels that have both cases, are exact, and left out for more
    than RANKED scores.
    """

    def __init__(self, loss: Loss, labels: Sequence[str], metrics: Sequence[Metric] = LABEL_METRICS) -> None:
        # Per label: correctly predicted, predicted, actual.
        counts = torch.zeros(3, len(labels), dtype=torch.float64)
        none = torch.zeros(0, len(labels), dtype=torch.bool)
        super().__init__(loss, metrics, len(labels), none, counts=counts, exact=wide(0.0), wrong=wide(0.0))
        self.labels = labels

    @torch.no_grad()
    def add(self, score: Tensor, batch: Batch) -> None:
        self.add_loss(score, batch)
        device = self.sums["loss"].device
        score = score.detach().float()
        predicted, actual = score > HALF, batch.target > 0.5
        self.sums["counts"] += torch.stack([(predicted & actual).sum(0), predicted.sum(0), actual.sum(0)]).to(device)
        self.sums["exact"] += (predicted == actual).all(1).sum().to(device)
        self.sums["wrong"] += (predicted != actual).sum().to(device)
        self.keep(score, actual, len(score))

    def statistics(self) -> dict[str, Array]:
        counts = zip(("right", "predicted", "support"), self.numpy("counts")[:, None], strict=True)
        samples = np.full(1, float(self.seen))
        found = {**super().statistics(), **dict(counts), "samples": samples, "labels": samples * len(self.labels)}
        found |= {name: self.numpy(name)[None] for name in ("exact", "wrong")}
        if (kept := self.kept()) is not None:
            found["ranking"], found["ranking_truth"] = kept[0].astype(np.float64), kept[1]
            found["weights"] = np.ones((len(kept[0]), 1), np.float32)
        return found

    def value(self) -> dict[str, Any]:
        s = self.statistics()
        more = {}
        if "ranking" in s:
            areas, precisions = (np.concatenate(columns) for columns in d.ranked_by_class(s))
            more = {"average_precision": precisions, "roc_auc": areas}
        return {**self.scalars(s), "per_class": class_table(self.labels, s, **more)}
