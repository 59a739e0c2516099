"""A transformer encoder for whole texts."""

import torch
from torch import Tensor, nn

from benchdog_eject.templates.models.attention import DROPOUT, LAYERS, WIDTH, Block, learned_positions

VOCABULARY = 257
LENGTH = 128
OUTPUTS = 2


class Transformer(nn.Module):
    """Tokens (B, T) int64, 0 for padding -> logits (B, outputs), from the mean over all tokens but the padding."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(VOCABULARY, WIDTH)
        nn.init.normal_(self.embed.weight, std=0.1)
        self.positions = learned_positions(LENGTH)
        self.drop = nn.Dropout(DROPOUT) if DROPOUT else nn.Identity()
        self.layers = nn.ModuleList(Block() for _ in range(LAYERS))
        self.norm = nn.LayerNorm(WIDTH)
        self.last = nn.Linear(WIDTH, OUTPUTS)

    def forward(self, tokens: Tensor) -> Tensor:
        T = tokens.shape[1]
        # the first position always counts: attention over nothing would be NaN
        mask = (tokens != 0) | (torch.arange(T) == 0)  # (B, T)
        x = self.drop(self.embed(tokens) + self.positions[:T])
        for layer in self.layers:
            x = layer(x, mask[:, None, None])
        counted = mask.unsqueeze(2).to(x.dtype)
        logits: Tensor = self.last((self.norm(x) * counted).sum(1) / counted.sum(1))
        return logits


def build_model() -> nn.Module:
    """Build the network."""
    return Transformer()
