"""Losses of regions: the Dice loss of each sample, or of a whole batch (arXiv:1606.04797)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from benchdog.builtin.tasks.losses.class_weights import ClassWeights
from benchdog.builtin.tasks.losses.classes import NONE, Summed, known_codes

SMOOTH = 1.0
"""Pixels added to both sides of the ratio: a class that is neither there nor answered then costs nothing."""


class Dice:
    """1 - Dice of each sample, a mean over the foreground classes; the weight is the number of samples.

    A sample whose pixels are all ignored counts nothing. Class weights weigh the mean over the classes.

    Args:
        ignore: a code whose pixels count nothing.
        over_batch: take all pixels of a batch for one sample's; then pieces of it don't add up.
    """

    def __init__(self, ignore: int | None = None, over_batch: bool = False) -> None:
        self.ignore, self.over_batch = ignore, over_batch

    def __call__(self, score: Tensor, target: Tensor, weights: ClassWeights, by: Tensor | None = None, /) -> Summed:
        lost, counted = self.each(score, target, weights)
        counted = counted if by is None else counted * by
        return (lost * counted).sum(), counted.sum()

    def each(self, score: Tensor, target: Tensor, weights: ClassWeights) -> tuple[Tensor, Tensor]:
        """Return each sample's loss (B,) and whether it counts (B,), both float."""
        seen = torch.ones_like(target, dtype=torch.bool) if self.ignore is None else target != self.ignore
        codes = known_codes(target.long(), self.ignore)
        score = score.float()  # half precision can't count pixels
        answered = score.softmax(1) * seen.unsqueeze(1)
        true = F.one_hot(codes, score.shape[1]).movedim(-1, 1).to(score.dtype) * seen.unsqueeze(1)
        counted = seen.flatten(1).any(1).to(score.dtype)
        # (B, classes), or (1, classes) over the batch; the background is not a region.
        both, total = ((answered * true).flatten(2).sum(2), (answered + true).flatten(2).sum(2))
        if self.over_batch:
            both, total = both.sum(0, keepdim=True), total.sum(0, keepdim=True)
        lost = 1 - (2 * both + SMOOTH) / (total + SMOOTH)
        values = weights.on(score.device)
        shares = lost.new_ones(score.shape[1]) if values is None else values.to(lost.dtype)
        lost = (lost[:, 1:] * shares[1:]).sum(1) / shares[1:].sum()
        return lost.expand(len(score)), counted


class DiceAndCrossEntropy:
    """Each sample's Dice loss plus the mean cross-entropy of its pixels; the weight is the number of samples."""

    def __init__(self, ignore: int | None = None) -> None:
        self.ignore = ignore
        self._dice = Dice(ignore)

    def __call__(self, score: Tensor, target: Tensor, weights: ClassWeights, by: Tensor | None = None, /) -> Summed:
        score = score.float()
        lost, counted = self._dice.each(score, target, weights)
        values = weights.on(score.device)
        ignored = NONE if self.ignore is None else self.ignore
        codes = target.long()
        pixels = F.cross_entropy(score, codes, values, ignore_index=ignored, reduction="none").flatten(1).sum(1)
        known = known_codes(codes, self.ignore)
        counts = score.new_ones(()).expand_as(codes) if values is None else values[known]
        if self.ignore is not None:
            counts = counts * (codes != self.ignore)
        weight = counts.flatten(1).sum(1)
        mean = torch.where(weight > 0, pixels / weight.clamp(min=1e-12), 0.0)
        counted = counted if by is None else counted * by
        return ((lost + mean) * counted).sum(), counted.sum()
