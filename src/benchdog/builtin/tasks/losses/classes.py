"""Losses of classes, per sample or pixel: from scores (B, classes, ...) to a sum and its weight.

A target is codes (B, ...), or shares (B, classes, ...) where samples were blended. Codes are the same as
one-hot rows, whatever the loss. A class that counts w multiplies the loss of its part and its weight alike,
so that sum / weight is what torch's mean is. So does a sample: `by` (B,) is what each one counts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from benchdog.builtin.tasks.losses.class_weights import ClassWeights

Summed = tuple[Tensor, "float | Tensor"]
NONE = -100
"""What torch takes for no code to ignore: no class has it."""
SMALLEST = 1e-12
"""Keeps the slope of (1 - p) ** gamma finite where p is 1."""


class ClassLoss(Protocol):
    """A loss of classes."""

    def __call__(
        self, score: Tensor, target: Tensor, weights: ClassWeights, by: Tensor | None = None, /
    ) -> Summed: ...


def is_soft(score: Tensor, target: Tensor) -> bool:
    """Return whether a target is shares (B, classes, ...) and not codes."""
    return target.ndim == score.ndim


class CrossEntropy:
    """Torch's own cross-entropy, with smoothing.

    Args:
        smoothing: share of the truth that is spread over all classes.
        ignore: a code whose pixels count nothing.
    """

    def __init__(self, smoothing: float = 0.0, ignore: int | None = None) -> None:
        self.smoothing, self.ignore = smoothing, ignore

    def __call__(self, score: Tensor, target: Tensor, weights: ClassWeights, by: Tensor | None = None, /) -> Summed:
        values = weights.on(score.device)
        ignored = NONE if self.ignore is None else self.ignore
        if not is_soft(score, target):
            target = target.long()
        # A GPU adds up pixels in an order of the moment, and refuses to where the same bits are wanted.
        at_once = by is None and (score.ndim == 2 or score.device.type == "cpu")
        total = F.cross_entropy(
            score,
            target,
            None if values is None else values.to(score.dtype),
            ignore_index=ignored,
            reduction="sum" if at_once else "none",
            label_smoothing=self.smoothing,
        )
        return total if at_once else summed(total, by), weight_of(score, target, values, self.ignore, by)


class PerClass:
    """A loss that is given by what each class would cost: `terms` (B, classes, ...) of a score.

    Args:
        terms: gives what it costs if a class is the true one, for every class.
        smoothing: as for CrossEntropy.
        ignore: as for CrossEntropy.
    """

    def __init__(self, terms: Callable[[Tensor], Tensor], smoothing: float = 0.0, ignore: int | None = None) -> None:
        self.terms, self.smoothing, self.ignore = terms, smoothing, ignore

    def __call__(self, score: Tensor, target: Tensor, weights: ClassWeights, by: Tensor | None = None, /) -> Summed:
        values = weights.on(score.device)
        terms = self.terms(score)
        if values is not None:
            terms = terms * upright(values, terms)
        if is_soft(score, target):
            lost = (terms * smoothed(target, self.smoothing)).sum(1)
        else:
            lost = self._of_codes(terms, target.long())
        return summed(lost, by), weight_of(terms, target, values, self.ignore, by)

    def _of_codes(self, terms: Tensor, codes: Tensor) -> Tensor:
        known = known_codes(codes, self.ignore)
        lost = terms.gather(1, known.unsqueeze(1)).squeeze(1)
        if self.smoothing:
            lost = lost * (1 - self.smoothing) + terms.mean(1) * self.smoothing
        return lost if self.ignore is None else lost.masked_fill(codes == self.ignore, 0.0)


def focal_terms(gamma: float) -> Callable[[Tensor], Tensor]:
    """Return the focal loss of each class: -(1 - p) ** gamma log p (arXiv:1708.02002)."""

    def terms(score: Tensor) -> Tensor:
        log_p = score.log_softmax(1, dtype=torch.float32)
        return (-torch.expm1(log_p)).clamp(min=SMALLEST) ** gamma * -log_p

    return terms


def smoothed(shares: Tensor, smoothing: float) -> Tensor:
    """Spread a part of the shares (B, classes, ...) evenly."""
    return shares * (1 - smoothing) + smoothing / shares.shape[1] if smoothing else shares


def known_codes(codes: Tensor, ignore: int | None) -> Tensor:
    """Put 0 in place of the ignored code, so that every code names a class."""
    return codes if ignore is None else codes.masked_fill(codes == ignore, 0)


def summed(lost: Tensor, by: Tensor | None) -> Tensor:
    """Add up losses (B, ...), each times what its sample counts."""
    return lost.sum() if by is None else (lost.flatten(1).sum(1) if lost.ndim > 1 else lost).mul(by).sum()


def weight_of(
    score: Tensor, target: Tensor, values: Tensor | None, ignore: int | None, by: Tensor | None = None
) -> float | Tensor:
    """Add up what the targets count: their number, or their classes' weights; a float where it is known."""
    if by is not None:
        return (counts_of(score, target, values, ignore) * by).sum()
    if is_soft(score, target):
        if values is None:
            return float(target.numel() // score.shape[1])
        return (target.detach() * upright(values, target)).sum()
    if ignore is None:
        return float(target.numel()) if values is None else values[target.long()].sum()
    counted = target != ignore
    if values is None:
        return counted.sum()
    return (values[known_codes(target.long(), ignore)] * counted).sum()


def counts_of(score: Tensor, target: Tensor, values: Tensor | None, ignore: int | None) -> Tensor:
    """Return what the targets of each sample count: (B,) float32."""
    if is_soft(score, target):
        shares = target.detach() if values is None else target.detach() * upright(values, target)
        return shares.flatten(1).sum(1, dtype=torch.float32)
    codes = known_codes(target.long(), ignore)
    counts = torch.ones_like(codes, dtype=torch.float32) if values is None else values[codes]
    if ignore is not None:
        counts = counts * (target != ignore)
    return counts.flatten(1).sum(1) if counts.ndim > 1 else counts


def upright(values: Tensor, like: Tensor) -> Tensor:
    """Bring (classes,) to the axes of (B, classes, ...)."""
    return values.view(1, -1, *(1,) * (like.ndim - 2))
