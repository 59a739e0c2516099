"""The task `embedding`: a vector for each sample, near to those of its class."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchdog.api import BadUsage, Batch, Meter, MetricSet, SampleStatistics, Spec
from benchdog.builtin.tasks.metrics.per_sample import EMBEDDING_METRICS
from benchdog.builtin.tasks.metrics.retrieval import NeighborMeter
from benchdog.builtin.tasks.options import EmbeddingOptions


class Unit(nn.Module):
    """Bring each vector (B, dim) to length 1."""

    def forward(self, score: Tensor) -> Tensor:
        return F.normalize(score, dim=1)


class Embedding:
    """Place samples: score (B, dim), answer the same at length 1, target (B,) codes or (B, classes) shares.

    The loss is the supervised contrastive one (arXiv:2004.11362): how surely each sample finds those of its
    class among the others of its batch, summed over the samples that have some; their number is its weight. It
    doesn't add up over pieces of a batch.
    """

    monitor = "recall_at_1"
    better = "max"
    adds_up = False

    def __init__(self, options: EmbeddingOptions | None = None) -> None:
        self.options = options or EmbeddingOptions()

    def check(self, spec: Spec) -> None:
        if spec.target.kind != "class" or spec.classes < 2:
            raise BadUsage(
                f"The task 'embedding' needs 2 classes or more, but the target is a {spec.target.kind} of "
                f"{spec.classes} classes.",
                "Samples of one class become neighbors: they need classes.",
            )

    def output(self, spec: Spec) -> tuple[int | None, ...]:
        return (self.options.dim,)

    def head(self, spec: Spec) -> nn.Module:
        return Unit()

    def loss(self, score: Tensor, batch: Batch) -> tuple[Tensor, float | Tensor]:
        lost, counted = self._each(score, batch.target)
        return lost.sum(), counted.sum()

    def losses(self, score: Tensor, batch: Batch) -> Tensor:
        """Return each sample's own loss among the others: (B,)."""
        return self._each(score, batch.target)[0]

    def _each(self, score: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return each sample's loss (B,), 0 where nobody is like it, and whether it counts."""
        if len(score) < 2:  # nobody to compare with
            return score.sum(1) * 0, torch.zeros(len(score), dtype=torch.bool, device=score.device)
        unit = F.normalize(score.float(), dim=1)
        near = (unit @ unit.T).float() / self.options.temperature
        alone = torch.eye(len(score), dtype=torch.bool, device=score.device)
        if target.ndim == 2:
            like = (target @ target.T).to(near.dtype)
        else:
            like = (target.unsqueeze(1) == target).to(near.dtype)
        like = like.masked_fill(alone, 0.0)
        total = like.sum(1)
        log_share = near - near.masked_fill(alone, -torch.inf).logsumexp(1, keepdim=True)
        lost = -(like * log_share).sum(1) / total.clamp(min=torch.finfo(near.dtype).tiny)
        return lost, total > 0

    def meter(self, spec: Spec) -> Meter:
        return NeighborMeter(self.loss)

    def metrics(self, spec: Spec) -> MetricSet:
        return MetricSet(metrics=EMBEDDING_METRICS, per_sample=lambda *arrays: SampleStatistics())

    def baselines(self, inputs: tuple[Any, ...]) -> dict[str, Callable[[tuple[Any, ...]], Tensor]]:
        """Offer the inputs as they are: the vector of all their values."""
        return {"inputs as they are": flat}


def flat(inputs: tuple[Any, ...]) -> Tensor:
    """Put arrays (B, ...) of all fields into one row per sample."""
    rows = [torch.from_numpy(x).reshape(len(x), -1).float() for x in inputs]
    return torch.cat(rows, 1)
