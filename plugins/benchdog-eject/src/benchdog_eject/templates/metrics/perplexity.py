"""Perplexity and accuracy of next tokens."""

import math

from torch import Tensor


class Metrics:
    """Perplexity, and the share of tokens that are predicted correctly."""

    def __init__(self) -> None:
        self.correct, self.count = 0.0, 0

    def add(self, logits: Tensor, target: Tensor) -> None:
        """Count a batch."""
        self.correct += float((logits.argmax(-1) == target).sum())
        self.count += target.numel()

    def compute(self, loss: float) -> dict[str, float]:
        """Return the metrics."""
        return {"loss": loss, "perplexity": math.exp(loss), "accuracy": self.correct / self.count}
