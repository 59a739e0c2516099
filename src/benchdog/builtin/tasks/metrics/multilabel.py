"""The meter of labels, of which several may be true."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from benchdog.api import Batch
from benchdog.builtin.tasks.metrics.core import Kept, Loss, area, by_class, ratio, wide

HALF = 0.0
"""The score of a probability of one half: from there on a label is counted as answered."""


class LabelMeter(Kept):
    """Metrics of scores (B, labels) against 0 and 1 (B, labels).

    value() gives loss, micro_f1, macro_f1 (over labels that occur or were answered), exact_match (all labels of
    a sample right), hamming_loss (share of wrong labels), mean_average_precision, roc_auc (means over the labels
    that have both) and per_class. The last two are exact, and left out for more than RANKED scores.
    """

    def __init__(self, loss: Loss, labels: Sequence[str]) -> None:
        # Per label: rightly answered, answered, true.
        counts = torch.zeros(3, len(labels), dtype=torch.float64)
        none = torch.zeros(0, len(labels), dtype=torch.bool)
        super().__init__(loss, len(labels), none, counts=counts, exact=wide(0.0), wrong=wide(0.0))
        self.labels = labels

    @torch.no_grad()
    def add(self, score: Tensor, batch: Batch) -> None:
        self.add_loss(score, batch)
        device = self.sums["loss"].device
        score = score.detach().float()
        said, true = score > HALF, batch.target > 0.5
        self.sums["counts"] += torch.stack([(said & true).sum(0), said.sum(0), true.sum(0)]).to(device)
        self.sums["exact"] += (said == true).all(1).sum().to(device)
        self.sums["wrong"] += (said != true).sum().to(device)
        self.keep(score, true, len(score))

    def value(self) -> dict[str, Any]:
        right, said, true = self.sums["counts"].cpu()
        samples = self.seen
        f1, met = ratio(2 * right, said + true), (said + true) > 0
        result: dict[str, Any] = {
            "loss": self.mean_loss(),
            "micro_f1": float(ratio(2 * right.sum(), said.sum() + true.sum())),
            "macro_f1": float(f1[met].mean()) if met.any() else 0.0,
            "exact_match": float(self.sums["exact"]) / samples if samples else math.nan,
            "hamming_loss": float(self.sums["wrong"]) / (samples * len(self.labels)) if samples else math.nan,
        }
        columns = {"precision": ratio(right, said), "recall": ratio(right, true), "f1": f1, "support": true}
        if self.scores:
            ranked = self.ranked()
            for name, key in (("mean_average_precision", "average_precision"), ("roc_auc", "roc_auc")):
                there = [value for value in ranked[key] if value is not None]
                if there:
                    result[name] = sum(there) / len(there)
            columns |= {key: torch.tensor([math.nan if v is None else v for v in col]) for key, col in ranked.items()}
        result["per_class"] = by_class(self.labels, **columns)
        return result

    def ranked(self) -> dict[str, list[float | None]]:
        """Give what the order of the scores says of each label; None where it has only one side."""
        scores, targets = torch.cat(self.scores).cpu().double(), torch.cat(self.targets).cpu()
        if not scores.isfinite().all():
            return {key: [math.nan] * len(self.labels) for key in ("average_precision", "roc_auc")}
        pairs = list(zip(scores.T, targets.T, strict=True))
        return {
            "average_precision": [average_precision(score, true) for score, true in pairs],
            "roc_auc": [area(score, true) for score, true in pairs],
        }


def average_precision(score: Tensor, positive: Tensor) -> float | None:
    """Add up precision times the gain in recall over all thresholds; None without a positive."""
    count = int(positive.sum())
    if not count:
        return None
    order = score.argsort(descending=True, stable=True)
    ordered = score[order]
    found = positive[order].double().cumsum(0)
    # A threshold lies after the last of equal scores.
    ends = torch.cat([ordered[1:] != ordered[:-1], torch.tensor([True])]).nonzero()[:, 0]
    found = found[ends]
    gained = torch.diff(found, prepend=torch.zeros(1, dtype=torch.float64)) / count
    return float((gained * found / (ends + 1).double()).sum())
