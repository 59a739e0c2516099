"""The confusion matrix: where its cells and labels lie, readable from two classes to a hundred."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchdog.evaluation.report.formatting import number, percent, short
from benchdog.evaluation.report.tables import Table

LARGEST = 100
"""With more classes than this the cells are too small to see: only the pairs are listed."""

LABEL = 14  # letters of a class name that fit next to the grid


def matrix(value: Any) -> list[list[float]]:
    """Return a square matrix of counts, [] for anything else."""
    if not isinstance(value, list) or not all(isinstance(row, list) for row in value):
        return []
    if len(value) < 2 or any(len(row) != len(value) for row in value):
        return []
    return [[number(cell) or 0.0 for cell in row] for row in value]


def names(classes: Any, size: int) -> list[str]:
    """Return a name for each class, its number where it has none."""
    given = [str(name) for name in classes] if isinstance(classes, list | tuple) else []
    return given if len(given) == size else [str(i) for i in range(size)]


@dataclass(frozen=True, kw_only=True, slots=True)
class CountCell:
    """A cell of the grid; `dark` where its count is written in the light color."""

    x: float
    y: float
    right: bool
    opacity: float
    title: str
    text: str
    dark: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Label:
    """A class name, centered `middle` pixels into the grid."""

    text: str
    middle: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Matrix:
    """The grid in pixels: rows are actual classes, columns predicted ones."""

    width: float
    height: float
    left: float
    top: float
    side: float
    cell: float
    font: float
    tilted: bool
    cells: list[CountCell]
    labels: list[Label]


def layout(counts: list[list[float]], names: Sequence[str]) -> Matrix:
    """Lay out the grid, a cell as dark as its share of the row."""
    size = len(counts)
    cell = max(9.0, min(64.0, (460.0 if size <= 10 else 560.0) / size))
    font = min(12.0, max(6.5, cell * 0.72))
    longest = max(map(len, names))
    tilted = longest * font * 0.65 > cell - 2
    left = 26 + min(LABEL, longest) * font * 0.65
    top = 22 + (left - 26 if tilted else font * 1.4)
    cells = []
    for i, row in enumerate(counts):
        total = sum(row) or 1.0
        for j, count in enumerate(row):
            if not count and i != j:
                continue
            pair = f"{names[i]} predicted as {names[j]}" if i != j else f"{names[i]}, correct"
            text = short(int(count)) if float(count).is_integer() else short(count)
            # The root makes rare errors visible next to a diagonal near one.
            root = (count / total) ** 0.5
            cells.append(
                CountCell(
                    x=left + j * cell,
                    y=top + i * cell,
                    right=i == j,
                    opacity=max(0.06, root),
                    title=f"{pair}: {short(count)}",
                    text=text if cell >= 22 and len(text) * 6.5 <= cell - 2 else "",
                    dark=root > 0.55,
                )
            )
    labels = [
        Label(text=name if len(name) <= LABEL else name[: LABEL - 1] + "…", middle=(i + 0.5) * cell)
        for i, name in enumerate(names)
    ]
    side = size * cell
    return Matrix(
        width=left + side + 2, height=top + side + 2, left=left, top=top, side=side, cell=cell, font=font,
        tilted=tilted, cells=cells, labels=labels,
    )  # fmt: skip


def pairs(counts: list[list[float]], labels: Sequence[str], most: int = 8) -> list[tuple[str, str, float, float]]:
    """Return the most frequent errors: actual, predicted, count, share of the actual class."""
    errors = [
        (labels[i], labels[j], count, count / (sum(row) or 1.0))
        for i, row in enumerate(counts)
        for j, count in enumerate(row)
        if i != j and count
    ]
    return sorted(errors, key=lambda pair: (-pair[2], pair[0], pair[1]))[:most]


def errors_table(counts: list[list[float]], labels: Sequence[str]) -> Table:
    """Tabulate the most frequent errors."""
    rows = [(actual, predicted, short(n), percent(part)) for actual, predicted, n, part in pairs(counts, labels)]
    return Table(("actual", "predicted", "count", "of the class"), rows, 2)
