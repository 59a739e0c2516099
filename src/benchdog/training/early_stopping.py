"""The best epoch so far, and whether it is time to stop waiting for a better one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

LONG = 20
"""Epochs above which it is told how many were for nothing."""
LEAST = 5
"""The smallest patience that is advised."""


class EarlyStopping:
    """Compares epochs by the task's metric; a value that is no number is never better than one that is."""

    def __init__(self, metric: str, better: str, patience: int) -> None:
        self.metric, self.better, self.patience = metric, better, patience
        self.facts: dict[str, Any] | None = None
        self.worse = 0

    def judge(self, epoch: int, value: float) -> bool:
        """Take an epoch's value; say whether it is the best."""
        best = self._is_better(value)
        if best:
            self.facts = {"epoch": epoch, "metric": self.metric, "value": value}
        self.worse = 0 if best else self.worse + 1
        return best

    @property
    def enough(self) -> bool:
        """Whether patience is at its end."""
        return bool(self.patience) and self.worse >= self.patience

    def _is_better(self, value: float) -> bool:
        if self.facts is None or math.isnan(value):
            return self.facts is None
        best = float(self.facts["value"])
        if math.isnan(best):
            return True
        return value > best if self.better == "max" else value < best

    def state_dict(self) -> dict[str, Any]:
        """Give what a resume needs."""
        return {"facts": self.facts, "worse": self.worse}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what was stored."""
        self.facts, self.worse = state["facts"], state["worse"]


def advised(best: EarlyStopping, values: Sequence[float]) -> int:
    """Give a patience that would have ended a run early and kept its best epoch; 0 when there was little to save.

    Args:
        best: one that hasn't seen an epoch.
        values: the metric of each epoch, the first first.
    """
    bests = [epoch for epoch, value in enumerate(values, 1) if best.judge(epoch, value)]
    if len(values) <= LONG or not bests or bests[-1] > len(values) / 2:
        return 0
    return max(LEAST, *(after - before for before, after in zip([0, *bests], bests, strict=False)))
