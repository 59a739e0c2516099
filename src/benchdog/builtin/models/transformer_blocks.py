"""What transformers are made of: blocks of attention and two linear layers, and their sizes by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchdog.api import BadUsage


class Size(NamedTuple):
    """How large a transformer is."""

    width: int
    layers: int
    heads: int


class Sized(Protocol):
    """Options that name a size, and may change parts of it."""

    @property
    def size(self) -> str: ...
    @property
    def width(self) -> int: ...
    @property
    def layers(self) -> int: ...
    @property
    def heads(self) -> int: ...


def size_of(model: str, sizes: Mapping[str, Size], options: Sized, even: bool = False) -> Size:
    """Return the named size with what the options change; BadUsage when width can't be shared out to the heads.

    Args:
        even: each head needs an even number of values.
    """
    named = sizes[options.size]
    size = Size(options.width or named.width, options.layers or named.layers, options.heads or named.heads)
    multiple = size.heads * (2 if even else 1)
    if size.width % multiple:
        raise BadUsage(
            f"The model {model!r} has width = {size.width} and heads = {size.heads}.",
            f"Make width a multiple of {multiple}.",
        )
    return size


class Block(nn.Module):
    """Self-attention, then two linear layers, each next to a shortcut and after a normalization.

    forward(x (B, T, W)) -> (B, T, W). `seen` (B, 1, 1, T) says which positions may be looked at; `turn` holds
    the cosines and sines (T, W / heads / 2) of rotary positions (arXiv:2104.09864).
    """

    def __init__(self, width: int, heads: int, dropout: float, causal: bool = False) -> None:
        super().__init__()
        self.heads, self.causal = heads, causal
        self.before_attention = nn.LayerNorm(width)
        self.attend = nn.Linear(width, 3 * width)
        self.mix = nn.Linear(width, width)
        self.before_thinking = nn.LayerNorm(width)
        self.widen = nn.Linear(width, 4 * width)
        self.narrow = nn.Linear(4 * width, width)
        self.drop = nn.Dropout(dropout) if dropout else nn.Identity()

    def forward(self, x: Tensor, seen: Tensor | None = None, turn: tuple[Tensor, Tensor] | None = None) -> Tensor:
        B, T, W = x.shape
        # Views of one product: attention reads them as they lie, and their gradients are laid side by side once.
        parts = self.attend(self.before_attention(x)).chunk(3, -1)
        query, key, value = (part.view(B, T, self.heads, W // self.heads).transpose(1, 2) for part in parts)
        if turn is not None:
            query, key = turned(query, *turn), turned(key, *turn)
        found = F.scaled_dot_product_attention(query, key, value, attn_mask=seen, is_causal=self.causal)
        x = x + self.drop(self.mix(found.transpose(1, 2).reshape(B, T, W)))
        thought = self.narrow(F.gelu(self.widen(self.before_thinking(x))))
        result: Tensor = x + self.drop(thought)
        return result


def turned(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate pairs of values by angles that grow with the position: x (..., T, n), cos and sin (T, n / 2)."""
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], -1)


def placed(length: int, width: int) -> nn.Parameter:
    """Make learned positions (length, width), small next to what they are added to."""
    return nn.Parameter(0.02 * torch.randn(length, width))
