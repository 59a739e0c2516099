"""The number of optimizer steps of a training."""

from __future__ import annotations

from dataclasses import dataclass


def ceil_div(total: int, size: int) -> int:
    """Return how many groups of at most `size` hold `total` items."""
    return -(-total // size)


@dataclass(frozen=True, kw_only=True, slots=True)
class StepCount:
    """Steps of a training split's samples, in batches of which the last may be smaller; a stream's are unknown.

    Attributes:
        samples: of the training split; None for a stream.
        batch: samples of a step, over all ranks and micro-batches.
        epochs: passes over the training split.
    """

    samples: int | None
    batch: int
    epochs: int

    @property
    def per_epoch(self) -> int | None:
        """Steps of an epoch; None for a stream."""
        return None if self.samples is None else ceil_div(self.samples, self.batch)

    @property
    def total(self) -> int | None:
        """Steps of all epochs; None for a stream."""
        return None if self.per_epoch is None else self.per_epoch * self.epochs
