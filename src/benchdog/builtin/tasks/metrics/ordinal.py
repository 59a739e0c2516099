"""The meter of classes that have an order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from benchdog.api import Batch
from benchdog.builtin.tasks.metrics.core import Loss, Sums, by_class, count_answers, ratio, square


class RankMeter(Sums):
    """Metrics of levels (B, classes - 1) against class codes (B,).

    The answered rank is the number of levels above 0: the median. value() gives loss, accuracy, mae (in ranks),
    quadratic_kappa (1 is agreement, 0 what chance gives), confusion and per_class.

    Args:
        ranks: of the class codes.
        levels: gives the levels of a score.
    """

    def __init__(
        self, loss: Loss, classes: Sequence[str], ranks: Sequence[int], levels: Callable[[Tensor], Tensor]
    ) -> None:
        super().__init__(loss, confusion=torch.zeros(len(classes) ** 2, dtype=torch.int64))
        self.classes, self.ranks, self.levels = classes, torch.tensor(ranks), levels

    @torch.no_grad()
    def add(self, score: Tensor, batch: Batch) -> None:
        self.add_loss(score, batch)
        rank = (self.levels(score) > 0).sum(1)
        codes = self.ranks.argsort().to(score.device)
        count_answers(self.sums["confusion"], codes[rank], batch.target, len(self.classes))

    def value(self) -> dict[str, Any]:
        table = square(self.sums["confusion"], len(self.classes))
        right, rows, columns = table.diagonal(), table.sum(1), table.sum(0)
        ranks = self.ranks.double()
        apart = (ranks.unsqueeze(1) - ranks).abs()
        count = table.sum()
        chance = (rows.unsqueeze(1) * columns / count.clamp(min=1) * apart.square()).sum()
        missed = (table * apart.square()).sum()
        return {
            "loss": self.mean_loss(),
            "accuracy": float(ratio(right.sum(), count)),
            "mae": float((table * apart).sum() / count) if count else float("nan"),
            # All of one class, and named so: agreement.
            "quadratic_kappa": float(1 - missed / chance) if chance > 0 else float(missed == 0),
            "confusion": table.long().tolist(),
            "per_class": by_class(
                self.classes,
                precision=ratio(right, columns),
                recall=ratio(right, rows),
                f1=ratio(2 * right, rows + columns),
                support=rows,
            ),
        }
