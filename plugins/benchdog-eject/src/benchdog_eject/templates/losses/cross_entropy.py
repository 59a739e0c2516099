"""Cross-entropy."""

from torch import Tensor
from torch.nn import functional as F

CLASS_WEIGHTS: Tensor | None = None
LABEL_SMOOTHING = 0.0


def loss_of(logits: Tensor, target: Tensor) -> tuple[Tensor, float | Tensor]:
    """Return the cross-entropy summed over samples or pixels, and their number or total weight."""
    target = target.long()
    total = F.cross_entropy(logits, target, CLASS_WEIGHTS, reduction="sum", label_smoothing=LABEL_SMOOTHING)
    return total, float(target.numel()) if CLASS_WEIGHTS is None else CLASS_WEIGHTS[target].sum()
