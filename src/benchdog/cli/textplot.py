"""Line plots in plain characters, for a terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

WIDTH, HEIGHT = 64, 12


def curve(x: Sequence[float], y: Sequence[float], high: float, marks: Mapping[str, float]) -> str:
    """Plot a curve over a logarithmic x axis.

    Args:
        x: increasing, positive.
        y: finite values.
        high: upper limit of the y axis; higher values are drawn there, as "^".
        marks: {letter: x}, drawn on the axis.
    """
    left, right = math.log10(x[0]), math.log10(x[-1])
    low = min(y)

    def column(value: float) -> int:
        return max(0, min(WIDTH - 1, round((math.log10(value) - left) / (right - left) * (WIDTH - 1))))

    grid = [[" "] * WIDTH for _ in range(HEIGHT)]
    for at, value in zip(x, y, strict=True):
        row = round((high - value) / (high - low) * (HEIGHT - 1))
        grid[max(0, row)][column(at)] = "*" if row >= 0 else "^"
    names = {0: f"{high:.3g}", HEIGHT - 1: f"{low:.3g}"}
    margin = max(len(name) for name in names.values())
    lines = [f"{names.get(i, ''):>{margin}} |{''.join(row).rstrip()}".rstrip() for i, row in enumerate(grid)]
    axis, below = ["-"] * WIDTH, [" "] * (WIDTH + 8)
    for power in range(math.ceil(left - 1e-9), math.floor(right + 1e-9) + 1):
        place = column(10.0**power)
        axis[place] = "+"
        text = f"1e{power}"
        start = max(0, place - len(text) // 2)
        below[start : start + len(text)] = text
    for letter, value in marks.items():
        axis[column(value)] = letter
    return "\n".join([*lines, f"{'':>{margin}} +{''.join(axis)}", f"{'':>{margin}}  {''.join(below).rstrip()}"])
