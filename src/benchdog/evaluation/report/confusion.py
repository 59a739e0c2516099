"""The confusion matrix as a picture, readable from two classes to a hundred."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchdog.evaluation.report.html import THIN, Html, h, join, number, short, table

LARGEST = 100
"""With more classes than this the cells are too small to see: only the pairs are listed."""

LABEL = 14  # letters of a class name that fit beside the grid


def matrix(value: Any) -> list[list[float]]:
    """Give a square matrix of counts, [] for anything else."""
    if not isinstance(value, list) or not all(isinstance(row, list) for row in value):
        return []
    if len(value) < 2 or any(len(row) != len(value) for row in value):
        return []
    return [[number(cell) or 0.0 for cell in row] for row in value]


def names(classes: Any, size: int) -> list[str]:
    """Give a name for each class, its number where it has none."""
    given = [str(name) for name in classes] if isinstance(classes, list | tuple) else []
    return given if len(given) == size else [str(i) for i in range(size)]


def picture(counts: list[list[float]], labels: Sequence[str]) -> Html:
    """Draw the grid: rows are true, columns answered, a cell as dark as its part of the row."""
    size = len(counts)
    cell = max(9.0, min(46.0, 560.0 / size))
    font = min(12.0, max(6.5, cell * 0.72))
    left = 26 + min(LABEL, max(map(len, labels))) * font * 0.6
    top = 22 + (left - 26 if _tilted(labels, cell, font) else font * 1.4)
    parts: list[Html] = []
    for i, row in enumerate(counts):
        total = sum(row) or 1.0
        parts.extend(
            _cell(i, j, count, count / total, labels, (left + j * cell, top + i * cell, cell))
            for j, count in enumerate(row)
            if count or i == j
        )
    parts.extend(_labels(labels, cell, font, left, top))
    width, height = left + size * cell + 2, top + size * cell + 2
    grid = h("rect", x=left, y=f"{top:.1f}", width=f"{size * cell:.1f}", height=f"{size * cell:.1f}", cls="frame")
    axis = join(
        h("text", "answered", x=f"{left + size * cell / 2:.1f}", y=12, text_anchor="middle", cls="axis"),
        h(
            "text",
            "true",
            transform=f"translate(12 {top + size * cell / 2:.1f}) rotate(-90)",
            text_anchor="middle",
            cls="axis",
        ),
    )
    return h(
        "svg",
        grid,
        *parts,
        axis,
        viewBox=f"0 0 {width:.0f} {height:.0f}",
        style=f"width:{width:.0f}px",
        role="img",
        aria_label="Confusion matrix",
        cls="confusion",
    )


def _tilted(labels: Sequence[str], cell: float, font: float) -> bool:
    return max(map(len, labels)) * font * 0.6 > cell - 2


def _clipped(name: str) -> str:
    return name if len(name) <= LABEL else name[: LABEL - 1] + "…"


def _labels(labels: Sequence[str], cell: float, font: float, left: float, top: float) -> list[Html]:
    """Write the class names: the columns' upright when they fit, else turned."""
    parts = []
    size, tilted = f"{font:.1f}", _tilted(labels, cell, font)
    for i, name in enumerate(labels):
        middle = (i + 0.5) * cell
        parts.append(
            h(
                "text",
                _clipped(name),
                x=f"{left - 5:.1f}",
                y=f"{top + middle + font * 0.35:.1f}",
                font_size=size,
                text_anchor="end",
            )
        )
        place = f"translate({left + middle + (font * 0.35 if tilted else 0):.1f} {top - 5:.1f})"
        turn, anchor = (" rotate(-90)", "start") if tilted else ("", "middle")
        parts.append(h("text", _clipped(name), transform=place + turn, font_size=size, text_anchor=anchor))
    return parts


def _cell(i: int, j: int, count: float, share: float, labels: Sequence[str], box: tuple[float, float, float]) -> Html:
    x, y, cell = box
    told = f"{labels[i]} called {labels[j]}" if i != j else f"{labels[i]} rightly named"
    rect = h(
        "rect",
        h("title", f"{told}: {short(count)}"),
        x=f"{x + 0.5:.1f}",
        y=f"{y + 0.5:.1f}",
        width=f"{cell - 1:.1f}",
        height=f"{cell - 1:.1f}",
        fill=f"var(--{'good' if i == j else 'bad'})",
        # The root makes the rare mistakes visible beside a diagonal near one.
        fill_opacity=f"{max(0.06, share**0.5):.2f}",
    )
    text = short(int(count)) if float(count).is_integer() else short(count)
    if cell < 22 or len(text) * 6.5 > cell - 2:
        return rect
    dark = share**0.5 > 0.55
    place = {"x": f"{x + cell / 2:.1f}", "y": f"{y + cell / 2 + 4:.1f}", "text_anchor": "middle"}
    return join(rect, h("text", text, **place, font_size=11, cls="on" if dark else None, pointer_events="none"))


def pairs(counts: list[list[float]], labels: Sequence[str], most: int = 8) -> list[tuple[str, str, float, float]]:
    """Give the commonest mistakes: true, answered, how many, which part of the true class."""
    found = [
        (labels[i], labels[j], count, count / (sum(row) or 1.0))
        for i, row in enumerate(counts)
        for j, count in enumerate(row)
        if i != j and count
    ]
    return sorted(found, key=lambda pair: (-pair[2], pair[0], pair[1]))[:most]


def pairs_table(counts: list[list[float]], labels: Sequence[str]) -> Html:
    """List the commonest mistakes in words."""
    rows = [(true, said, short(n), f"{100 * part:.1f}{THIN}%") for true, said, n, part in pairs(counts, labels)]
    if not rows:
        return h("p", "No two classes were confused.", cls="quiet")
    return table(("true", "answered", "times", "of the class"), rows, numbers=2)
