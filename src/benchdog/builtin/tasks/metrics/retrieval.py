"""The meter of embeddings: whether a sample's nearest neighbors within the split are of its class."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from benchdog.api import Batch
from benchdog.builtin.tasks.metrics.meters import Loss

ROWS = 256
"""Samples whose neighbors are searched at once, and over which the loss is taken."""
FIRST = (1, 5)
"""Neighbors that recall@k looks at."""


class NeighborMeter:
    """Metrics of vectors (B, dim) against class codes (B,), of all samples of a split together.

    value() returns loss, recall_at_1 and recall_at_5 (share of samples with one of their class among so many
    nearest others), and map_at_r (mean average precision at R, arXiv:2003.08505; R is the number of other samples
    of its class). A sample that is alone in its class is not a query, but may be a wrong neighbor of others.
    Neighbors are exact. The loss is that of chunks of 256 samples in their order, whatever the batches were.
    """

    def __init__(self, loss: Loss) -> None:
        self.loss = loss
        self.vectors: list[Tensor] = []
        self.targets: list[Tensor] = []

    @torch.no_grad()
    def add(self, score: Tensor, batch: Batch) -> None:
        if len(score):
            # A copy: what was given may be a view of a buffer that is used again.
            self.vectors.append(score.detach().float().clone())
            self.targets.append(batch.target.detach().clone())

    def state(self) -> dict[str, Tensor]:
        vectors, targets = self.all()
        return {"vectors": vectors, "targets": targets}

    def merge(self, state: Mapping[str, Tensor]) -> None:
        if len(state["vectors"]):
            device = self.vectors[0].device if self.vectors else state["vectors"].device
            self.vectors.append(state["vectors"].to(device).clone())
            self.targets.append(state["targets"].to(device).clone())

    def all(self) -> tuple[Tensor, Tensor]:
        """Return all vectors (N, dim) and codes (N,)."""
        if not self.vectors:
            return torch.zeros(0, 1), torch.zeros(0, dtype=torch.int64)
        return torch.cat(self.vectors), torch.cat(self.targets)

    @torch.no_grad()
    def value(self) -> dict[str, Any]:
        vectors, targets = self.all()
        result: dict[str, Any] = {"loss": self.mean_loss(vectors, targets)}
        unit = F.normalize(vectors, dim=1)
        others = torch.bincount(targets) if len(targets) else targets
        queries, first, precision = 0, dict.fromkeys(FIRST, 0.0), 0.0
        for at in range(0, len(unit), ROWS):
            rows = torch.arange(at, min(at + ROWS, len(unit)), device=unit.device)
            like = others[targets[rows]] - 1
            kept = like > 0
            rows, like = rows[kept], like[kept]
            if not len(rows):
                continue
            right, like = self.right(unit, targets, rows, int(like.max())).cpu(), like.cpu()
            queries += len(rows)
            for k in FIRST:
                first[k] += float(right[:, :k].any(1).sum())
            places = torch.arange(1, right.shape[1] + 1)
            hits = right & (places <= like.unsqueeze(1))
            precision += float(((hits.cumsum(1) / places * hits).sum(1, dtype=torch.float64) / like).sum())
        for k in FIRST:
            result[f"recall_at_{k}"] = first[k] / queries if queries else math.nan
        result["map_at_r"] = precision / queries if queries else math.nan
        return result

    def right(self, unit: Tensor, targets: Tensor, rows: Tensor, most: int) -> Tensor:
        """Return whether each row's nearest others, the nearest first, are of its class: (rows, neighbors)."""
        near = unit[rows] @ unit.T
        near[torch.arange(len(rows), device=unit.device), rows] = -torch.inf
        count = min(max(most, *FIRST), len(unit) - 1)
        return targets[near.topk(count, dim=1).indices] == targets[rows].unsqueeze(1)

    def mean_loss(self, vectors: Tensor, targets: Tensor) -> float:
        """Compute the loss of the chunks, in their order."""
        total = weight = 0.0
        for at in range(0, len(vectors), ROWS):
            lost, counted = self.loss(vectors[at : at + ROWS], Batch((), targets[at : at + ROWS]))
            total, weight = total + float(lost), weight + float(counted)
        return total / weight if weight else math.nan
