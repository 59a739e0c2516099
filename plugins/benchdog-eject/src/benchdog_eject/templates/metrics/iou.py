"""Intersection over union."""

import torch
from torch import Tensor

CLASSES = 2


class Metrics:
    """Mean intersection over union of the foreground classes that occur or are predicted."""

    def __init__(self) -> None:
        self.confusion = torch.zeros(CLASSES, CLASSES, dtype=torch.float64)  # true, predicted

    def add(self, logits: Tensor, target: Tensor) -> None:
        """Count a batch."""
        pairs = target.long() * CLASSES + logits.max(1).indices
        self.confusion += torch.bincount(pairs.flatten(), minlength=CLASSES**2).view(CLASSES, CLASSES)

    def compute(self, loss: float) -> dict[str, float]:
        """Return the metrics."""
        both = self.confusion.diagonal()
        union = self.confusion.sum(0) + self.confusion.sum(1) - both
        counted = union > 0
        counted[0] = False  # the background
        return {"loss": loss, "iou": float((both / union)[counted].mean()) if counted.any() else 0.0}
