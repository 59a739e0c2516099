"""The meter of classes that have an order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchdog.api import Batch, Metric
from benchdog.builtin.tasks.metrics.meters import Loss, SumMeter, class_table, count_predictions, counts, square
from benchdog.builtin.tasks.metrics.per_sample import ORDINAL_METRICS

Array = NDArray[Any]


class RankMeter(SumMeter):
    """Metrics of levels (B, classes - 1) against class codes (B,); also confusion and per_class.

    The predicted rank is the number of levels above 0: the median.

    Args:
        ranks: of the class codes.
        levels: returns the levels of a score.
    """

    def __init__(
        self,
        loss: Loss,
        classes: Sequence[str],
        ranks: Sequence[int],
        levels: Callable[[Tensor], Tensor],
        metrics: Sequence[Metric] = ORDINAL_METRICS,
    ) -> None:
        super().__init__(loss, metrics, confusion=torch.zeros(len(classes) ** 2, dtype=torch.int64))
        self.classes, self.ranks, self.levels = classes, torch.tensor(ranks), levels

    @torch.no_grad()
    def add(self, score: Tensor, batch: Batch) -> None:
        self.add_loss(score, batch)
        rank = (self.levels(score) > 0).sum(1)
        codes = self.ranks.argsort().to(score.device)
        count_predictions(self.sums["confusion"], codes[rank], batch.target, len(self.classes))

    def statistics(self) -> dict[str, Array]:
        order = self.ranks.argsort().numpy()
        table = square(self.numpy("confusion"), len(self.classes))[np.ix_(order, order)]
        places = np.arange(len(order))
        distance = np.abs(places[:, None] - places)
        return {
            **super().statistics(),
            **counts(table, len(order)),
            "samples": table.sum(keepdims=True)[0],
            "distance": (table * distance).sum(keepdims=True)[0],
            "squared_distance": (table * distance**2).sum(keepdims=True)[0],
        }

    def value(self) -> dict[str, Any]:
        confusion = self.numpy("confusion")
        return {
            **self.scalars(self.statistics()),
            "confusion": square(confusion, len(self.classes)).astype(int).tolist(),
            "per_class": class_table(self.classes, counts(confusion, len(self.classes))),
        }
