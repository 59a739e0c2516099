"""Models with auxiliary outputs: a dict that in training has further scores, each with a loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from benchdog.api import Batch, Task
from benchdog.plugins import returned


class AuxiliaryLossTask:
    """A task whose loss also takes {"score": ..., "auxiliary": [(share, score), ...]}; all else is the task's own.

    An auxiliary score has the score's shape. The loss is the mean of all of them, an auxiliary one counting by
    its share and the score 1, so it stays in the task's units, and its weight is the score's: pieces of a batch
    and ranks add up as they do without. Only the score is ever measured or deployed.
    """

    def __init__(self, task: Task) -> None:
        self.task = task

    def __getattr__(self, name: str) -> Any:
        return getattr(self.task, name)

    def loss(self, score: Tensor | Mapping[str, Any], batch: Batch, /) -> tuple[Tensor, float | Tensor]:
        """Return the sum over a batch and its weight."""
        if isinstance(score, Tensor):
            return returned.loss(self.task.loss(score, batch), self.task)
        total, weight = returned.loss(self.task.loss(score["score"], batch), self.task)
        shares = 1.0
        for share, other in score["auxiliary"]:
            total = total + share * self.task.loss(other, batch)[0]
            shares += share
        return total / shares, weight
