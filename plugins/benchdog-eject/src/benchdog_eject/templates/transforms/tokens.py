"""Tokens, as they are."""

from torch import Tensor


def transform(x: Tensor) -> Tensor:
    """Return token codes (B, T) int64 as they are."""
    return x
