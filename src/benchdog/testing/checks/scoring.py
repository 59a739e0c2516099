"""Made-up data and scores for tasks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from benchdog.api import Batch, Spec
from benchdog.testing.fixtures.data_kinds import ROWS

NEAR = 1e-4


@dataclass(frozen=True, slots=True)
class Case:
    """Data that the task takes, with made-up scores.

    Attributes:
        spec: of what the model gets; batch likewise.
        given: the data's decoded inputs, before the task prepared them; data_target and data_spec likewise.
    """

    what: str
    spec: Spec
    make: Callable[[], Any]
    score: Tensor
    batch: Batch
    given: tuple[Tensor, ...]
    data_target: Tensor
    data_spec: Spec

    def part(self, rows: list[int], weight: Tensor | None = None) -> tuple[Tensor, Batch]:
        """Return some samples' scores and their batch."""
        inputs = tuple(x[rows] for x in self.batch.inputs)
        return self.score[rows], Batch(inputs, self.batch.target[rows], ids=rows, weight=weight)

    def loss(self, task: Any, rows: list[int], weight: Tensor | None = None) -> tuple[float, float]:
        """Return the loss of some samples: sum and weight."""
        total, count = task.loss(*self.part(rows, weight))
        return float(total), float(count)


ALL = list(range(ROWS))


def near(a: Any, b: Any) -> bool:
    """Return whether two values, of whatever make, are the same but for rounding."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(near(a[key], b[key]) for key in a)
    try:
        x, y = np.asarray(a, np.float64), np.asarray(b, np.float64)
    except (TypeError, ValueError):
        return bool(str(a) == str(b))
    return x.shape == y.shape and bool(np.allclose(x, y, NEAR, NEAR, equal_nan=True))


def short(value: Any) -> str:
    """Return a value for a sentence."""
    return f"{value:.4g}" if isinstance(value, float) else " ".join(str(value).split())[:60]
