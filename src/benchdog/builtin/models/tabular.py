"""The model `tabular`: a residual net for tables, with an embedding for each category column (arXiv:2106.11959)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchdog.api import Spec
from benchdog.builtin.models.options import TabularOptions
from benchdog.builtin.models.spec_checks import flat_outputs, misfit

WIDEST = 64
"""Values of the largest embedding."""


def embedding_width(categories: int) -> int:
    """Choose how many values stand for a category: few for few, at most 64."""
    return min(WIDEST, int(1.6 * (categories + 1) ** 0.56 + 0.5))


class Residual(nn.Module):
    """Two linear layers next to a shortcut: (B, width) -> (B, width)."""

    def __init__(self, options: TabularOptions) -> None:
        super().__init__()
        inner = int(options.width * options.widening)
        self.norm = nn.LayerNorm(options.width)
        self.widen = nn.Linear(options.width, inner)
        self.narrow = nn.Linear(inner, options.width)
        self.drop = nn.Dropout(options.dropout) if options.dropout else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = x + self.drop(self.narrow(torch.relu(self.widen(self.norm(x)))))
        return result


class Tabular(nn.Module):
    """Row (B, columns) float32, categories as codes -> score (B, outputs).

    Code 0, a category that is missing or was never seen, stands for zeros: it says nothing until it is learned.
    """

    numbers: Tensor

    def __init__(self, numbers: list[int], categories: dict[int, int], outputs: int, options: TabularOptions) -> None:
        super().__init__()
        self.places = list(categories)
        self.register_buffer("numbers", torch.tensor(numbers, dtype=torch.int64), persistent=False)
        self.has_numbers = bool(numbers)
        self.embed = nn.ModuleList(nn.Embedding(n + 1, embedding_width(n)) for n in categories.values())
        for table in self.embed:
            assert isinstance(table, nn.Embedding)
            with torch.no_grad():
                table.weight[0] = 0.0
        width = len(numbers) + sum(embedding_width(n) for n in categories.values())
        self.first = nn.Linear(width, options.width)
        self.blocks = nn.ModuleList(Residual(options) for _ in range(options.blocks))
        self.norm = nn.LayerNorm(options.width)
        self.last = nn.Linear(options.width, outputs)

    def forward(self, row: Tensor) -> Tensor:
        parts = [row.index_select(1, self.numbers)] if self.has_numbers else []
        parts += [table(row[:, place].long()) for place, table in zip(self.places, self.embed, strict=True)]
        x = self.first(torch.cat(parts, 1))
        for block in self.blocks:
            x = block(x)
        score: Tensor = self.last(torch.relu(self.norm(x)))
        return score


def build(spec: Spec, options: TabularOptions) -> Tabular:
    """Build a residual net from a row of numbers and category codes (B, columns) to the score (B, outputs)."""
    field = spec.fields[0]
    if len(spec.fields) != 1 or field.kind != "table" or len(field.shape) != 1 or not field.shape[0]:
        raise misfit("tabular", "one table", spec)
    categories = {i: len(c.categories) for i, c in enumerate(field.columns) if c.kind != "number"}
    numbers = [i for i in range(field.shape[0]) if i not in categories]
    return Tabular(numbers, categories, flat_outputs("tabular", spec), options)
