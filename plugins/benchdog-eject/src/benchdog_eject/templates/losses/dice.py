"""Dice loss (arXiv:1606.04797)."""

import torch
from torch import Tensor
from torch.nn import functional as F

WHOLE_BATCH = False  # one coefficient for the batch in place of one for each sample
WITH_CROSS_ENTROPY = False


def loss_of(logits: Tensor, target: Tensor) -> tuple[Tensor, float]:
    """Return 1 - Dice over the foreground classes, summed over samples, and their number."""
    target = target.long()
    predicted = logits.softmax(1)
    true = F.one_hot(target, logits.shape[1]).movedim(-1, 1).float()
    both, total = (predicted * true).flatten(2).sum(2), (predicted + true).flatten(2).sum(2)  # (B, classes)
    if WHOLE_BATCH:
        both, total = both.sum(0, keepdim=True), total.sum(0, keepdim=True)
    loss = (1 - (2 * both + 1) / (total + 1))[:, 1:].mean(1)
    if WHOLE_BATCH:
        loss = loss * torch.ones(len(logits))
    if WITH_CROSS_ENTROPY:
        pixels = F.cross_entropy(logits, target, reduction="none").flatten(1)
        loss = loss + pixels.sum(1) / pixels.shape[1]
    return loss.sum(), float(len(logits))
