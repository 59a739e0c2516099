"""Tables and cells, as the templates lay them out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell with a class of the style sheet, or with small print."""

    text: str
    cls: str = ""
    small: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A table; cells are numbers, right-aligned, from column `numbers` on."""

    heads: Sequence[str]
    rows: Sequence[Sequence[str | Cell]]
    numbers: int = 0
