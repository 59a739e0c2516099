"""The model `gpt`: a transformer that guesses each next token from those before it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor, nn

from benchdog.api import BadUsage, Spec
from benchdog.builtin.models.options import GptOptions
from benchdog.builtin.models.spec_checks import misfit, shape
from benchdog.builtin.models.transformer_blocks import Block, Size, placed, size_of

SIZES: Final[Mapping[str, Size]] = {
    "nano": Size(128, 3, 4),
    "micro": Size(256, 4, 4),
    "small": Size(384, 6, 6),
    "medium": Size(512, 8, 8),
    "gpt2": Size(768, 12, 12),
    "gpt2-medium": Size(1024, 24, 16),
}


class Gpt(nn.Module):
    """Tokens (B, T) int64 -> score (B, T, vocabulary); position t sees tokens 0 to t alone.

    `length` is the largest T of learned positions; 0 stands for rotary ones, for any T.
    """

    rates: Tensor

    def __init__(self, vocabulary: int, length: int, size: Size, options: GptOptions) -> None:
        super().__init__()
        width, layers, heads = size
        self.embed = nn.Embedding(vocabulary, width)
        nn.init.normal_(self.embed.weight, std=0.02 if options.tied else 0.1)
        self.positions = placed(length, width) if length else None
        self.layers = nn.ModuleList(Block(width, heads, options.dropout, causal=True) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.last = nn.Linear(width, vocabulary, bias=not options.tied)
        if options.tied:
            self.last.weight = self.embed.weight
        if not length:
            half = width // heads // 2
            self.register_buffer("rates", 10000.0 ** (-torch.arange(half) / half), persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        x, turn = self.embed(tokens), None
        if self.positions is not None:
            x = x + self.positions[: tokens.shape[1]]
        else:
            angles = torch.arange(tokens.shape[1], device=tokens.device).unsqueeze(1) * self.rates  # (T, half)
            turn = angles.cos(), angles.sin()
        for layer in self.layers:
            x = layer(x, None, turn)
        score: Tensor = self.last(self.norm(x))
        return score


def build(spec: Spec, options: GptOptions) -> Gpt:
    """Build an autoregressive model from tokens (B, T) to the score (B, T, vocabulary)."""
    if len(spec.fields) != 1 or spec.fields[0].kind != "tokens":
        raise misfit("gpt", "one field of tokens", spec)
    vocabulary = spec.output[-1] if spec.output else None
    if len(spec.output) != 2 or not vocabulary:
        raise BadUsage(
            f"The model 'gpt' scores every token of a vocabulary at each position, "
            f"but the task wants {shape(spec.output)}.",
            "Use the task next-token; for a class or numbers per text: transformer.",
        )
    length = spec.fields[0].shape[0]
    if options.positions == "learned" and not length:
        raise BadUsage(
            "The model 'gpt' can't learn positions of texts whose length is free.",
            'Set model.positions = "rotary", or give the texts one length.',
        )
    learned = length if length and options.positions != "rotary" else 0
    return Gpt(vocabulary, learned, size_of("gpt", SIZES, options, even=not learned), options)
