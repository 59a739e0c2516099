"""The meter of texts that go on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from benchdog.api import Batch
from benchdog.builtin.tasks.metrics.core import Loss, Sums, wide


class TokenMeter(Sums):
    """Metrics of scores (B, T, vocabulary) against tokens (B, T): loss, perplexity (its exp), accuracy.

    bits_per_byte and bits_per_character share the loss out to the text, in UTF-8, that the tokens stand for:
    what models of different tokens can be compared by. Where samples have weights, they weigh both. Tokens of the
    code `ignore` count nowhere.
    """

    def __init__(self, loss: Loss, spellings: Sequence[bytes], ignore: int | None = None) -> None:
        super().__init__(loss, right=wide(0.0), tokens=wide(0.0), sizes=torch.zeros(2, dtype=torch.float64))
        self.ignore = ignore
        # Every byte begins a character but those that UTF-8 goes on with.
        begun = [sum(byte & 0xC0 != 0x80 for byte in word) for word in spellings]
        self.table = torch.tensor([[len(word) for word in spellings], begun], dtype=torch.float64)

    @torch.no_grad()
    def add(self, score: Tensor, batch: Batch) -> None:
        self.add_loss(score, batch)
        target, right = batch.target, score.argmax(-1) == batch.target
        device = self.sums["right"].device
        self.table = self.table.to(device)
        by = None if batch.weight is None else batch.weight.unsqueeze(1).expand_as(target)
        if self.ignore is not None:
            counted = target != self.ignore
            target, right, by = target[counted], right[counted], None if by is None else by[counted]
        self.sums["right"] += right.sum().to(device)
        self.sums["tokens"] += target.numel()
        sizes = self.table.index_select(1, target.reshape(-1).to(device))
        self.sums["sizes"] += sizes.sum(1) if by is None else sizes @ by.reshape(-1).double().to(device)

    def value(self) -> dict[str, Any]:
        loss, tokens = self.sums["loss"] / self.sums["weight"], self.sums["tokens"]
        sizes = torch.where(self.sums["sizes"] > 0, self.sums["sizes"], 1.0)
        bits = (loss * self.sums["weight"] / math.log(2) / sizes).tolist()
        return {
            "loss": float(loss),
            "perplexity": float(loss.exp()),
            "bits_per_byte": bits[0],
            "bits_per_character": bits[1],
            "accuracy": float(self.sums["right"] / tokens),
        }
