"""A decoder-only transformer (GPT)."""

import torch
from torch import Tensor, nn

from benchdog_eject.templates.models.attention import HEADS, LAYERS, WIDTH, Block, learned_positions

VOCABULARY = 256
LENGTH = 128  # of learned positions; 0: rotary ones
TIED = False


class GPT(nn.Module):
    """Tokens (B, T) int64 -> logits (B, T, vocabulary); position t sees tokens 0 to t."""

    rates: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(VOCABULARY, WIDTH)
        nn.init.normal_(self.embed.weight, std=0.02 if TIED else 0.1)
        self.positions = learned_positions(LENGTH) if LENGTH else None
        self.layers = nn.ModuleList(Block(causal=True) for _ in range(LAYERS))
        self.norm = nn.LayerNorm(WIDTH)
        self.last = nn.Linear(WIDTH, VOCABULARY, bias=not TIED)
        if TIED:
            self.last.weight = self.embed.weight
        half = WIDTH // HEADS // 2
        self.register_buffer("rates", 10000.0 ** (-torch.arange(half) / half), persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        x, rotation = self.embed(tokens), None
        if self.positions is not None:
            x = x + self.positions[: tokens.shape[1]]
        else:
            angles = torch.arange(tokens.shape[1]).unsqueeze(1) * self.rates  # (T, half)
            rotation = angles.cos(), angles.sin()
        for layer in self.layers:
            x = layer(x, None, rotation)
        logits: Tensor = self.last(self.norm(x))
        return logits


def build_model() -> nn.Module:
    """Build the network."""
    return GPT()
