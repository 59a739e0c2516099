"""The losses of the steps since the last line of the log, kept on the device so that no step waits for them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class Losses:
    """Sums of losses and their weights, at most `capacity` of them.

    They lie in one tensor: a list of small ones would pin the memory between the large ones around them.
    """

    def __init__(self, capacity: int, device: torch.device) -> None:
        self._values = torch.zeros(capacity, device=device)
        self._slots = list(self._values.unbind())
        self._weights: list[float | Tensor] = []

    def __len__(self) -> int:
        return len(self._weights)

    def add(self, loss: Tensor, weight: float | Tensor) -> None:
        """Keep a step's loss, summed over its batch, and the batch's weight."""
        self._slots[len(self._weights)].copy_(loss.detach())
        self._weights.append(weight)

    def first_bad(self) -> tuple[int, float] | None:
        """Give the place from the end (1 is the last) and the value of the first that is not finite."""
        values = self._values[: len(self)]
        bad = torch.nonzero(~torch.isfinite(values)).flatten().tolist()
        return (len(self) - bad[0], float(values[bad[0]])) if bad else None

    def take(self) -> tuple[float, float]:
        """Give the sum of losses and of weights, and begin anew."""
        loss = float(self._values[: len(self)].cpu().double().sum())
        weight = sum(float(weight) for weight in self._weights)
        self._weights = []
        return loss, weight

    def state_dict(self) -> dict[str, Any]:
        """Give what a resume needs."""
        return {"values": self._values[: len(self)], "weights": list(self._weights)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what was stored."""
        self._values[: len(state["weights"])].copy_(state["values"])
        self._weights = list(state["weights"])
