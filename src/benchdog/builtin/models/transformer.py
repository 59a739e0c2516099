"""The model `transformer`: an encoder of whole texts, for a class or numbers of each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor, nn

from benchdog.api import BadUsage, Spec
from benchdog.builtin.models.options import TransformerOptions
from benchdog.builtin.models.spec_checks import flat_outputs, misfit
from benchdog.builtin.models.transformer_blocks import Block, Size, placed, size_of

SIZES: Final[Mapping[str, Size]] = {
    "nano": Size(64, 2, 2),
    "micro": Size(128, 3, 4),
    "small": Size(256, 4, 4),
    "medium": Size(512, 8, 8),
    "base": Size(768, 12, 12),
}


class Transformer(nn.Module):
    """Tokens (B, T) int64 -> score (B, outputs): the mean over all tokens but the fillers, whose code is 0.

    Nobody looks at a filler; the first position counts in any case, so that none is left without one.
    """

    def __init__(self, codes: int, length: int, outputs: int, size: Size, options: TransformerOptions) -> None:
        super().__init__()
        width, layers, heads = size
        self.embed = nn.Embedding(codes, width)
        nn.init.normal_(self.embed.weight, std=0.1)
        self.positions = placed(length, width)
        self.drop = nn.Dropout(options.dropout) if options.dropout else nn.Identity()
        self.layers = nn.ModuleList(Block(width, heads, options.dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.last = nn.Linear(width, outputs)

    def forward(self, tokens: Tensor) -> Tensor:
        T = tokens.shape[1]
        there = (tokens != 0) | (torch.arange(T, device=tokens.device) == 0)  # (B, T)
        x = self.drop(self.embed(tokens) + self.positions[:T])
        seen = there[:, None, None]
        for layer in self.layers:
            x = layer(x, seen)
        real = there.unsqueeze(2).to(x.dtype)
        pooled = (self.norm(x) * real).sum(1) / real.sum(1)
        score: Tensor = self.last(pooled)
        return score


def build(spec: Spec, options: TransformerOptions) -> nn.Module:
    """Build an encoder from tokens (B, T) to the score (B, outputs)."""
    field = spec.fields[0]
    if len(spec.fields) != 1 or field.kind != "tokens" or not field.shape[0]:
        raise misfit("transformer", "one field of tokens of a fixed length", spec)
    outputs = flat_outputs("transformer", spec)
    if field.range is None:
        raise BadUsage(
            f"The model 'transformer' doesn't know how many different tokens {field.name!r} has.",
            "Declare it in the spec: Field(kind='tokens', range=(0, largest), ...); 0 fills up short texts.",
        )
    codes = int(field.range[1]) + 1
    return Transformer(codes, field.shape[0], outputs, size_of("transformer", SIZES, options), options)
