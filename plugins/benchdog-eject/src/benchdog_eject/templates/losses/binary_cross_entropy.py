"""Binary cross-entropy of several labels."""

from torch import Tensor
from torch.nn import functional as F

POS_WEIGHT: Tensor | None = None


def loss_of(logits: Tensor, target: Tensor) -> tuple[Tensor, float]:
    """Return the binary cross-entropy summed over samples and labels, and the number of values."""
    total = F.binary_cross_entropy_with_logits(logits, target.float(), reduction="sum", pos_weight=POS_WEIGHT)
    return total, float(target.numel())
