"""Errors in the target's units."""

import torch
from torch import Tensor

from benchdog_eject.templates.losses.standardized import TARGET_MEAN, TARGET_STD


class Metrics:
    """Root mean squared and mean absolute error, averaged over the target's numbers."""

    def __init__(self) -> None:
        self.squared = self.absolute = torch.zeros(len(TARGET_MEAN), dtype=torch.float64)
        self.count = 0

    def add(self, output: Tensor, target: Tensor) -> None:
        """Count a batch."""
        error = output.double() * TARGET_STD - (target.double().view(output.shape) - TARGET_MEAN)
        self.squared, self.absolute = self.squared + error.square().sum(0), self.absolute + error.abs().sum(0)
        self.count += len(target)

    def compute(self, loss: float) -> dict[str, float]:
        """Return the metrics."""
        rmse, mae = (self.squared / self.count).sqrt().mean(), (self.absolute / self.count).mean()
        return {"loss": loss, "rmse": float(rmse), "mae": float(mae)}
