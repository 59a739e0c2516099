"""Numbers, as float32."""

from torch import Tensor


def transform(x: Tensor) -> Tensor:
    """Convert to float32."""
    return x.float()
