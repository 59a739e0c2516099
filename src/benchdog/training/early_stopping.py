"""Best-epoch tracking and early stopping."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from benchdog.runs.document import BestEpoch

LONG = 20
"""Epochs above which a patience is advised."""
LEAST = 5
"""The smallest patience that is advised."""


class EarlyStopping:
    """Compares epochs by the task's metric; NaN is never better than a number."""

    def __init__(self, metric: str, better: str, patience: int) -> None:
        self.metric, self.better, self.patience = metric, better, patience
        self.facts: BestEpoch | None = None
        self.worse = 0

    def update(self, epoch: int, value: float) -> bool:
        """Take an epoch's value; return whether it is the best."""
        best = self._is_better(value)
        if best:
            self.facts = {"epoch": epoch, "metric": self.metric, "value": value}
        self.worse = 0 if best else self.worse + 1
        return best

    @property
    def enough(self) -> bool:
        """Whether patience is exhausted."""
        return bool(self.patience) and self.worse >= self.patience

    def _is_better(self, value: float) -> bool:
        if self.facts is None or math.isnan(value):
            return self.facts is None
        best = float(self.facts["value"])
        if math.isnan(best):
            return True
        return value > best if self.better == "max" else value < best

    def state_dict(self) -> dict[str, Any]:
        """Return what a resume needs."""
        return {"facts": self.facts, "worse": self.worse}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load what `state_dict` returned."""
        self.facts, self.worse = state["facts"], state["worse"]


def advised(best: EarlyStopping, values: Sequence[float]) -> int:
    """Return a patience that would have stopped a run early and kept its best epoch; 0 if it would have saved little.

    Args:
        best: a new one.
        values: the metric of each epoch, in order.
    """
    bests = [epoch for epoch, value in enumerate(values, 1) if best.update(epoch, value)]
    if len(values) <= LONG or not bests or bests[-1] > len(values) / 2:
        return 0
    return max(LEAST, *(after - before for before, after in zip([0, *bests], bests, strict=False)))
