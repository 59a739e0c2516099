"""Augmentations that mix samples of a batch: the result depends on which samples are in it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from benchdog.api import BadUsage, Draws, Spec
from benchdog.builtin.augmentations.options import MixUpOptions

TRIES = 16
"""Pairs drawn for rejection sampling; all are rejected with a probability below 0.0001."""


class MixUp:
    """Blend each sample and its target with a neighbor (arXiv:1710.09412); a class becomes a row of shares."""

    def __init__(self, options: MixUpOptions) -> None:
        self.options = options
        self.classes = 0

    def check(self, spec: Spec) -> None:
        """Check that fields and target can be mixed; raises BadUsage."""
        for field in spec.fields:
            if field.kind == "tokens" or any(column.categories for column in field.columns):
                raise BadUsage(f"The augmentation 'mix-up' blends numbers, but {field.name!r} has codes.")
        if spec.target.kind not in ("class", "labels", "number"):
            raise BadUsage(
                f"The augmentation 'mix-up' blends classes, labels or numbers; the target is a {spec.target.kind}."
            )
        self.classes = spec.classes if spec.target.kind == "class" else 0

    def apply(self, inputs: tuple[Tensor, ...], target: Tensor, draws: Draws) -> tuple[tuple[Tensor, ...], Tensor]:
        """Blend inputs (B, ...) and target: (B,) codes become (B, classes) shares."""
        share = self.share(draws)
        order = draws.uniform(1)[:, 0].argsort()
        partner = torch.empty_like(order)
        partner[order] = order.roll(1)  # a cycle through the batch: nobody is alone, unless the batch is one sample
        if self.classes:
            target = F.one_hot(target.long(), self.classes).float()
        return tuple(blend(x, partner, share) for x in inputs), blend(target, partner, share)

    def share(self, draws: Draws) -> Tensor:
        """Draw each sample's own share (B,), at least half, from Beta(alpha, alpha) with Jöhnk's algorithm."""
        pairs = draws.uniform(2, TRIES).double() ** (1 / self.options.alpha)  # (B, 2, TRIES)
        total = pairs.sum(1)
        fits = (total <= 1) & (total > 0)
        first = fits.float().argmax(1, keepdim=True)
        share = (pairs[:, 0] / total).gather(1, first)[:, 0]
        share = torch.where(fits.any(1), share, 1.0).float()
        return torch.maximum(share, 1 - share)


def blend(x: Tensor, partner: Tensor, share: Tensor) -> Tensor:
    """Return share * x + (1 - share) * x[partner] in the dtype of x."""
    by = share.view(-1, *[1] * (x.ndim - 1))
    mixed = x.float() * by + x[partner].float() * (1 - by)
    return mixed if x.is_floating_point() else mixed.round().to(x.dtype)
