"""A session that notices what a trainer does with it, and stops it where a plan says."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from benchdog.api import Batch
from benchdog.training.session import Session

SPARE = 20
"""Steps beyond the last after which a trainer is taken to go on for ever."""


class EndlessError(Exception):
    """A trainer goes on after its last epoch."""


@dataclass(slots=True)
class Plan:
    """What happens in a trial run.

    Attributes:
        stop: the step after which a signal comes; 0 never.
        enough: the epoch after which the run says that it is to end; 0 never.
    """

    stop: int = 0
    enough: int = 0
    mutated: str = ""
    steps: int = 0
    epochs: int = 0
    weights: dict[str, Tensor] = field(default_factory=dict)
    ended: bool = False


class Tried(Session):
    """A session that notices what a trainer does with it."""

    plan: Plan

    def batches(self, split: str = "train", /) -> Iterator[Batch]:
        """Yield batches, and see that they are left as they were."""
        for batch in super().batches(split):
            kept = tuple(x.clone() for x in (*batch.inputs, batch.target))
            yield batch
            now = (*batch.inputs, batch.target)
            if not all(a.shape == b.shape and torch.equal(a, b) for a, b in zip(now, kept, strict=True)):
                self.plan.mutated = "a batch"

    def step_done(self, loss: Tensor, weight: float | Tensor, /) -> None:
        """Count a step, and stop where the plan says."""
        self.plan.steps += 1
        if self.plan.steps > (self.total_steps or 0) + SPARE:
            raise EndlessError
        if self.plan.stop and self.step + 1 == self.plan.stop:
            self.signals.number = int(signal.SIGTERM)
        super().step_done(loss, weight)

    def epoch_done(self, metrics: Any, model: nn.Module | None = None, /) -> None:
        """Count an epoch."""
        self.plan.epochs += 1
        super().epoch_done(metrics, model)

    @property
    def should_stop(self) -> bool:
        """Whether the run is to end before its last epoch."""
        return bool(self.plan.enough and self.plan.epochs >= self.plan.enough) or super().should_stop
