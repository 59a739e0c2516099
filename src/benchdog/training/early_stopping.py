"""Best-epoch tracking and early stopping."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from benchdog.runs.document import BestEpoch

LONG = 20
"""Epochs above which a patience is advised."""
LEAST = 5
"""The smallest patience that is advised."""


class EarlyStopping:
    """Compares epochs by the task's metric, equal ones by the loss; NaN is never better than a number.

    Patience counts epochs without a better metric: a loss that still falls doesn't prolong a run.
    """

    def __init__(self, metric: str, better: str, patience: int) -> None:
        self.metric, self.better, self.patience = metric, better, patience
        self.facts: BestEpoch | None = None
        self.loss = math.nan
        self.worse = 0

    def update(self, epoch: int, value: float, loss: float = math.nan) -> bool:
        """Take an epoch's metric and loss on the validation split; return whether it is the best."""
        better = self._is_better(value)
        self.worse = 0 if better else self.worse + 1
        best = better or (self.facts is not None and value == self.facts["value"] and loss < self.loss)
        if best:
            self.facts = {"epoch": epoch, "metric": self.metric, "value": value}
            self.loss = loss
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
        return {"facts": self.facts, "worse": self.worse, "loss": self.loss}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load what `state_dict` returned; checkpoints of older versions hold no loss."""
        self.facts, self.worse, self.loss = state["facts"], state["worse"], state.get("loss", math.nan)


def advised(best: EarlyStopping, epochs: Iterable[tuple[float, float]]) -> tuple[int, int] | None:
    """Return a patience that would have stopped a run early and kept its best epoch, and the epoch of that stop.

    Args:
        best: a new one.
        epochs: metric and loss of each epoch, in order.

    Returns:
        None if it would have saved little.
    """
    improved = [0]
    number = 0
    for number, (value, loss) in enumerate(epochs, 1):
        best.update(number, value, loss)
        improved += [number] if best.worse == 0 else []
    if number <= LONG or best.facts is None or best.facts["epoch"] > number / 2:
        return None
    kept = best.facts["epoch"]
    waits = [after - before for before, after in pairwise(improved)]
    patience = max(LEAST, *waits, kept - improved[-1])
    return patience, improved[-1] + patience
