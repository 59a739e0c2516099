"""Macro F1 of several labels."""

import torch
from torch import Tensor

LABELS = 2


class Metrics:
    """Mean F1 over the labels that occur or are predicted."""

    def __init__(self) -> None:
        self.correct, self.predicted, self.true = torch.zeros(3, LABELS, dtype=torch.float64)

    def add(self, logits: Tensor, target: Tensor) -> None:
        """Count a batch."""
        predicted = logits >= 0
        self.correct += (predicted & (target == 1)).sum(0)
        self.predicted += predicted.sum(0)
        self.true += (target == 1).sum(0)

    def compute(self, loss: float) -> dict[str, float]:
        """Return the metrics."""
        both = self.predicted + self.true
        return {"loss": loss, "macro_f1": float((2 * self.correct / both)[both > 0].mean())}
