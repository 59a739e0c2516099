"""Sums of losses -> the gradient of their mean over a whole batch: all of its pieces, on all ranks."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from benchdog.api import Device
from benchdog.errors import BadUsage

KEPT = 8
"""Reciprocals that are kept: a run has few sizes of batches."""


class Gradients:
    """Divides by the weight of the whole batch once, so that pieces and ranks change nothing but rounding.

    Attributes:
        agreed: whether some rank was told to stop; all ranks learn it in the same step.
    """

    def __init__(self, model: nn.Module, device: Device, stopping: Callable[[], bool]) -> None:
        self.model, self.device, self.stopping = model, device, stopping
        self.agreed = False
        self._sums: list[Tensor] = []
        self._weights: list[float | Tensor] = []
        self._reciprocals: dict[float, Tensor] = {}

    @property
    def open(self) -> bool:
        """Whether a batch has begun and not all of its pieces are there."""
        return bool(self._sums)

    def backward(self, loss: Tensor, weight: float | Tensor, last: bool) -> None:
        """Add a piece's gradient; with the last piece the gradient is that of the whole batch's mean.

        Raises:
            BadUsage: the loss is not a single real number, or doesn't depend on the parameters.
        """
        if loss.ndim or not loss.is_floating_point():
            raise BadUsage(
                f"The task's loss is a {loss.dtype} tensor of shape {tuple(loss.shape)}, not one real number.",
                'It is the sum over the batch, returned with its weight: reduction="sum", or .sum().',
            )
        if not loss.requires_grad:
            raise BadUsage(
                "The loss doesn't depend on any parameter of the model, so nothing can be learned.",
                "Compute it from the model's score, without detach(), item() or no_grad(), "
                "and leave some parameter trainable.",
            )
        if last and not self._sums and self.device.world == 1:
            self.device.backward(loss, self._reciprocal(weight, loss))
            return
        self._sums.append(loss.detach())
        self._weights.append(weight)
        self.device.backward(loss, torch.ones_like(loss))
        if last:
            self._share()

    def total(self, loss: Tensor, weight: float | Tensor) -> tuple[Tensor, float | Tensor]:
        """Give the whole batch's loss and weight, of which the arguments are the last piece's."""
        if self._sums:
            loss, weight = self._sums[0], self._weights[0]
            self._sums, self._weights = [], []
        return loss, weight

    def _reciprocal(self, weight: float | Tensor, loss: Tensor) -> Tensor:
        if isinstance(weight, Tensor):
            inverse = weight.to(loss.dtype).reciprocal()
            return torch.where(inverse.isinf(), 0.0, inverse)  # a batch in which nothing counts
        if weight not in self._reciprocals:
            kept = list(self._reciprocals.items())[: KEPT - 1]
            self._reciprocals = {weight: loss.new_tensor(1.0 / weight if weight else 0.0), **dict(kept)}
        return self._reciprocals[weight]

    def _share(self) -> None:
        """Add gradients, losses and weights up over pieces and ranks, then divide by the weight."""
        gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
        first = self._sums[0]
        weight = first.new_tensor(0.0) + sum(self._weights)
        totals = torch.stack([torch.stack(self._sums).sum(), weight, first.new_tensor(float(self.stopping()))])
        if self.device.world > 1:
            statistics = [x / self.device.world for x in self._statistics()]
            shared = [*gradients, *statistics]
            flat = torch.cat([x.reshape(-1) for x in shared] + [totals.to(gradients[0].dtype)])
            self.device.sum_(flat)
            parts = torch.split(flat, [x.numel() for x in shared] + [3])
            for mine, part in zip([*gradients, *self._statistics()], parts, strict=False):
                mine.copy_(part.view_as(mine))
            totals = parts[-1]
            self.agreed = bool(totals[2].item())
        torch._foreach_div_(gradients, torch.where(totals[1] == 0, 1.0, totals[1]))  # 0: nothing counts
        self._sums, self._weights = [totals[0]], [totals[1]]

    def _statistics(self) -> list[Tensor]:
        """List the running statistics that a step has changed: ranks take their mean, and stay the same model."""
        modules = [m for m in self.model.modules() if getattr(m, "track_running_stats", False) and m.training]
        return [x for m in modules for x in (m.running_mean, m.running_var) if isinstance(x, Tensor)]
