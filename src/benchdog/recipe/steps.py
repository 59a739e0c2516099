"""The number of optimizer steps of a training."""

from __future__ import annotations

from dataclasses import dataclass


def ceil_div(total: int, size: int) -> int:
    """Return how many groups of at most `size` hold `total` items."""
    return -(-total // size)


@dataclass(frozen=True, kw_only=True, slots=True)
class StepCount:
    """Steps of a training split's samples, in batches of which the last may be smaller.

    Those of a stream are unknown, unless epochs end after a number of steps.

    Attributes:
        samples: of the training split; None for a stream.
        batch: samples of a step, over all ranks and micro-batches.
        epochs: passes over the training split.
        most: steps after which an epoch ends; 0 for its end.
    """

    samples: int | None
    batch: int
    epochs: int
    most: int = 0

    @property
    def per_epoch(self) -> int | None:
        """Steps of an epoch; None for a stream that is read to its end."""
        if self.samples is None:
            return self.most or None
        steps = ceil_div(self.samples, self.batch)
        return min(steps, self.most) if self.most else steps

    @property
    def total(self) -> int | None:
        """Steps of all epochs; None where those of one are unknown."""
        return None if self.per_epoch is None else self.per_epoch * self.epochs
