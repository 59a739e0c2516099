"""A residual network for tables, with an embedding for each category column (arXiv:2106.11959)."""

import torch
from torch import Tensor, nn

NUMBER_POSITIONS = [0, 1]
EMBEDDINGS = {2: (4, 4)}  # position of a category column: codes, width
WIDTH = 128
INNER_WIDTH = 256
BLOCKS = 3
DROPOUT = 0.1
OUTPUTS = 2


class Residual(nn.Module):
    """Two linear layers with a shortcut: (B, width) -> (B, width)."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(WIDTH)
        self.widen = nn.Linear(WIDTH, INNER_WIDTH)
        self.narrow = nn.Linear(INNER_WIDTH, WIDTH)
        self.drop = nn.Dropout(DROPOUT) if DROPOUT else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.drop(self.narrow(torch.relu(self.widen(self.norm(x)))))
        return y


class Tabular(nn.Module):
    """Row (B, columns) float32, categories as codes -> logits (B, outputs)."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.ModuleList(nn.Embedding(codes, width) for codes, width in EMBEDDINGS.values())
        for table in self.embed:
            with torch.no_grad():
                table.get_parameter("weight")[0] = 0.0  # code 0, missing or unknown, starts as zeros
        self.first = nn.Linear(len(NUMBER_POSITIONS) + sum(width for _, width in EMBEDDINGS.values()), WIDTH)
        self.blocks = nn.ModuleList(Residual() for _ in range(BLOCKS))
        self.norm = nn.LayerNorm(WIDTH)
        self.last = nn.Linear(WIDTH, OUTPUTS)

    def forward(self, row: Tensor) -> Tensor:
        parts = [row[:, NUMBER_POSITIONS]] if NUMBER_POSITIONS else []
        parts += [table(row[:, at].long()) for at, table in zip(EMBEDDINGS, self.embed, strict=True)]
        x = self.first(torch.cat(parts, 1))
        for block in self.blocks:
            x = block(x)
        logits: Tensor = self.last(torch.relu(self.norm(x)))
        return logits


def build_model() -> nn.Module:
    """Build the network."""
    return Tabular()
