"""Tables and plots with their captions, as the templates lay them out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchdog.evaluation.report.formatting import Html


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Plot:
    """A plot with its legend and its captions."""

    image: Html
    names: list[tuple[str, int]]
    note: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Noted:
    """A table with a note below it, or a text above."""

    table: Table
    note: str = ""
    text: str = ""
    image: Html | None = None
    names: list[tuple[str, int]] | None = None
    of: str = "class"
    folded: str = ""
    name: str = ""
