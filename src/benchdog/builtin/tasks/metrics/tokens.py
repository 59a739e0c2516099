"""The meter of next tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchdog.api import Batch, Metric
from benchdog.builtin.tasks.metrics.meters import Loss, SumMeter, wide
from benchdog.builtin.tasks.metrics.per_sample import TOKEN_METRICS

Array = NDArray[Any]


def sizes_of(spellings: Sequence[bytes]) -> Array:
    """Return the bytes and the characters of each token in UTF-8: (2, vocabulary) float64."""
    # Every byte begins a character except UTF-8's continuation bytes.
    characters = [sum(byte & 0xC0 != 0x80 for byte in word) for word in spellings]
    return np.array([[len(word) for word in spellings], characters], np.float64)


class TokenMeter(SumMeter):
    """Metrics of scores (B, T, vocabulary) against tokens (B, T).

    bits_per_byte and bits_per_character divide the loss by the size of the text, in UTF-8, that the tokens stand for:
    models of different tokens can be compared by them. Where samples have weights, they weigh both. Tokens of the
    code `ignore` count nowhere.
    """

    def __init__(
        self,
        loss: Loss,
        spellings: Sequence[bytes],
        ignore: int | None = None,
        metrics: Sequence[Metric] = TOKEN_METRICS,
    ) -> None:
        super().__init__(loss, metrics, right=wide(0.0), tokens=wide(0.0), sizes=torch.zeros(2, dtype=torch.float64))
        self.ignore = ignore
        self.table = torch.from_numpy(sizes_of(spellings))

    @torch.no_grad()
    def add(self, score: Tensor, batch: Batch) -> None:
        self.add_loss(score, batch)
        target, right = batch.target, score.argmax(-1) == batch.target
        device = self.sums["right"].device
        self.table = self.table.to(device)
        weight = None if batch.weight is None else batch.weight.unsqueeze(1).expand_as(target)
        if self.ignore is not None:
            counted = target != self.ignore
            target, right = target[counted], right[counted]
            weight = None if weight is None else weight[counted]
        self.sums["right"] += right.sum().to(device)
        self.sums["tokens"] += target.numel()
        sizes = self.table.index_select(1, target.reshape(-1).to(device))
        self.sums["sizes"] += sizes.sum(1) if weight is None else sizes @ weight.reshape(-1).double().to(device)

    def statistics(self) -> dict[str, Array]:
        characters = zip(("bytes", "characters"), self.numpy("sizes")[:, None], strict=True)
        return {
            **super().statistics(),
            **dict(characters),
            "right": self.numpy("right").reshape(1, 1),
            "support": self.numpy("tokens").reshape(1, 1),
        }

    def value(self) -> dict[str, Any]:
        return self.scalars(self.statistics())
