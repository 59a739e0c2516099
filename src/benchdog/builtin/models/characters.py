"""The model `characters`: a small transformer that guesses each next token from those before it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchdog.api import BadUsage, Spec

from .fit import misfit, shape
from .options import CharactersOptions


class Layer(nn.Module):
    """Causal self-attention with rotary positions (arXiv:2104.09864), then two linear layers."""

    def __init__(self, options: CharactersOptions) -> None:
        super().__init__()
        width = options.width
        self.heads = options.heads
        self.before_attention = nn.LayerNorm(width)
        self.attend = nn.Linear(width, 3 * width)
        self.mix = nn.Linear(width, width)
        self.think = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )
        self.drop = nn.Dropout(options.dropout)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        B, T, W = x.shape
        qkv = self.attend(self.before_attention(x)).view(B, T, 3, self.heads, W // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # each (B, heads, T, W / heads)
        query, key = turn(query, cos, sin), turn(key, cos, sin)
        seen = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.drop(self.mix(seen.transpose(1, 2).reshape(B, T, W)))
        result: Tensor = x + self.drop(self.think(x))
        return result


def turn(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate pairs of values by angles that grow with the position: x (..., T, n), cos and sin (T, n / 2)."""
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], -1)


class Characters(nn.Module):
    """Tokens (B, T) int64 -> score (B, T, vocabulary); position t sees tokens 0 to t alone. T is free."""

    rates: Tensor

    def __init__(self, vocabulary: int, options: CharactersOptions) -> None:
        super().__init__()
        half = options.width // options.heads // 2
        self.embed = nn.Embedding(vocabulary, options.width)
        self.layers = nn.ModuleList(Layer(options) for _ in range(options.layers))
        self.norm = nn.LayerNorm(options.width)
        self.last = nn.Linear(options.width, vocabulary)
        self.register_buffer("rates", 10000.0 ** (-torch.arange(half) / half), persistent=False)
        nn.init.normal_(self.embed.weight, std=0.1)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embed(tokens)
        angles = torch.arange(tokens.shape[1], device=tokens.device).unsqueeze(1) * self.rates  # (T, half)
        cos, sin = angles.cos(), angles.sin()
        for layer in self.layers:
            x = layer(x, cos, sin)
        score: Tensor = self.last(self.norm(x))
        return score


def build(spec: Spec, options: CharactersOptions) -> nn.Module:
    """Build an autoregressive model from tokens (B, T) to the score (B, T, vocabulary)."""
    if len(spec.fields) != 1 or spec.fields[0].kind != "tokens":
        raise misfit("characters", "one field of tokens", spec)
    vocabulary = spec.output[-1] if spec.output else None
    if len(spec.output) != 2 or not vocabulary:
        raise BadUsage(
            f"The model 'characters' scores every token of a vocabulary at each position, "
            f"but the task wants {shape(spec.output)}.",
            "Use the task next-token.",
        )
    if options.width % (2 * options.heads):
        raise BadUsage(
            f"The model 'characters' has width = {options.width} and heads = {options.heads}.",
            f"Make width a multiple of {2 * options.heads}.",
        )
    return Characters(vocabulary, options)
