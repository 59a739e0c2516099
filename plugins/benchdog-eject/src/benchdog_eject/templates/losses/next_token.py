"""Cross-entropy of next tokens."""

from torch import Tensor
from torch.nn import functional as F


def loss_of(logits: Tensor, target: Tensor) -> tuple[Tensor, float]:
    """Return the cross-entropy summed over all tokens, and their number."""
    tokens = target.flatten()
    return F.cross_entropy(logits.flatten(0, 1), tokens, reduction="sum"), float(len(tokens))
