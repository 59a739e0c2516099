"""Focal loss (arXiv:1708.02002)."""

import torch
from torch import Tensor

CLASS_WEIGHTS: Tensor | None = None
LABEL_SMOOTHING = 0.0
GAMMA = 2.0


def loss_of(logits: Tensor, target: Tensor) -> tuple[Tensor, float | Tensor]:
    """Return the focal loss summed over samples or pixels, and their number or total weight."""
    target = target.long()
    log_p = logits.log_softmax(1)
    terms = (-torch.expm1(log_p)).clamp(min=1e-12) ** GAMMA * -log_p
    if CLASS_WEIGHTS is not None:
        terms = terms * CLASS_WEIGHTS.view(1, -1, *[1] * (logits.ndim - 2))
    loss = terms.gather(1, target.unsqueeze(1)).squeeze(1)
    if LABEL_SMOOTHING:
        loss = loss * (1 - LABEL_SMOOTHING) + terms.mean(1) * LABEL_SMOOTHING
    return loss.sum(), float(target.numel()) if CLASS_WEIGHTS is None else CLASS_WEIGHTS[target].sum()
