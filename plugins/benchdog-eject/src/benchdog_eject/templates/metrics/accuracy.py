"""Accuracy."""

from torch import Tensor


class Metrics:
    """Share of samples whose class is predicted correctly."""

    def __init__(self) -> None:
        self.correct, self.count = 0.0, 0

    def add(self, logits: Tensor, target: Tensor) -> None:
        """Count a batch."""
        self.correct += float((logits.max(1).indices == target).sum())
        self.count += len(target)

    def compute(self, loss: float) -> dict[str, float]:
        """Return the metrics."""
        return {"loss": loss, "accuracy": self.correct / self.count}
