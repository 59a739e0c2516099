"""A block of a transformer."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

WIDTH = 128
LAYERS = 3
HEADS = 4
DROPOUT = 0.0


class Block(nn.Module):
    """Self-attention, then a feed-forward network, each with a shortcut and a layer norm before it.

    forward(x (B, T, W)) -> (B, T, W). `mask` (B, 1, 1, T) is true where attention may look; `rotation` holds the
    cosines and sines (T, W / heads / 2) of rotary positions (arXiv:2104.09864).
    """

    def __init__(self, causal: bool = False) -> None:
        super().__init__()
        self.causal = causal
        self.before_attention = nn.LayerNorm(WIDTH)
        self.attend = nn.Linear(WIDTH, 3 * WIDTH)
        self.mix = nn.Linear(WIDTH, WIDTH)
        self.before_thinking = nn.LayerNorm(WIDTH)
        self.widen = nn.Linear(WIDTH, 4 * WIDTH)
        self.narrow = nn.Linear(4 * WIDTH, WIDTH)
        self.drop = nn.Dropout(DROPOUT) if DROPOUT else nn.Identity()

    def forward(self, x: Tensor, mask: Tensor | None = None, rotation: tuple[Tensor, Tensor] | None = None) -> Tensor:
        B, T, W = x.shape
        parts = self.attend(self.before_attention(x)).chunk(3, -1)
        query, key, value = (part.view(B, T, HEADS, W // HEADS).transpose(1, 2) for part in parts)
        if rotation is not None:
            query, key = rotate(query, *rotation), rotate(key, *rotation)
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, is_causal=self.causal)
        x = x + self.drop(self.mix(attended.transpose(1, 2).reshape(B, T, W)))
        y: Tensor = x + self.drop(self.narrow(F.gelu(self.widen(self.before_thinking(x)))))
        return y


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate pairs of values by angles that grow with the position: x (..., T, n), cos and sin (T, n / 2)."""
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], -1)


def learned_positions(length: int) -> nn.Parameter:
    """Build a position embedding (length, width), small compared with what it is added to."""
    return nn.Parameter(0.02 * torch.randn(length, WIDTH))
