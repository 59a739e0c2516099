"""Places of values on an axis from 0 to 1, and where the eye needs an axis to end."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchdog.evaluation.report.formatting import short
from benchdog_optuna.options import Choices
from benchdog_optuna.space import Dimension, same

FEW = 8
"""Choices that are written on an axis one by one."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How a dimension lies on an axis."""

    dimension: Dimension

    @property
    def ticks(self) -> list[tuple[float, str]]:
        """Give places and texts for an axis: choices, or powers of ten, or five values."""
        within = self.dimension.within
        if isinstance(within, Choices):
            names = [wording(choice) for choice in within.choices]
            return [(self.place(choice), name) for choice, name in zip(within.choices, names, strict=True)]
        if within.log:
            first, last = math.ceil(math.log10(within.low) - 1e-9), math.floor(math.log10(within.high) + 1e-9)
            values: list[float] = [10.0**power for power in range(first, last + 1)]
            values = values if len(values) > 1 else [within.low, within.high]
        else:
            step = within.step or (1 if self.dimension.whole else (within.high - within.low) / 4)
            steps = round((within.high - within.low) / step)
            values = [within.low + i * step for i in range(0, steps + 1, max(1, -(-steps // 5)))]
        return [(self.place(value), plain(value)) for value in values]

    def place(self, value: Any) -> float:
        """Give a value's place."""
        within = self.dimension.within
        if isinstance(within, Choices):
            at = next((i for i, choice in enumerate(within.choices) if same(value, choice)), 0)
            return (at + 0.5) / len(within.choices)
        if within.log:
            return (math.log(value) - math.log(within.low)) / (math.log(within.high) - math.log(within.low))
        return float((value - within.low) / (within.high - within.low))


def plain(value: float) -> str:
    """Write a number on an axis."""
    return f"{value:g}".replace("e-0", "e-").replace("e+0", "e").replace("e+", "e")


def wording(choice: Any) -> str:
    """Write a choice on an axis, cut when it is long."""
    if isinstance(choice, str):
        text = choice
    elif isinstance(choice, dict):
        text = str(choice.get("name", choice))
    elif isinstance(choice, list):
        text = "+".join(wording(each) for each in choice) or "none"
    else:
        text = str(choice).lower() if isinstance(choice, bool) else short(choice)
    return text if len(text) <= 16 else f"{text[:15]}…"


def seen(values: Sequence[float], better: str) -> tuple[float, float]:
    """Give the ends of an axis: a few values that are far worse than the others don't squeeze them together."""
    ordered = sorted(values, reverse=better == "max")  # the best first
    best, worst, usual = ordered[0], ordered[-1], ordered[int(0.7 * (len(ordered) - 1))]
    far = abs(worst - best) > 4 * abs(usual - best) > 0
    end = best + 2 * (usual - best) if far else worst
    pad = 0.06 * abs(end - best) or 0.05 * (abs(best) or 1.0)
    low, high = min(best, end), max(best, end)
    return low - pad, high + pad


def most(values: Sequence[float], better: str) -> tuple[float, float]:
    """Give the ends of an axis on which all but the worst tenth lies."""
    ordered = sorted(values, reverse=better == "max")
    shown = ordered[: max(2, int(0.9 * len(ordered)))]
    pad = 0.05 * abs(shown[-1] - shown[0]) or 0.05 * (abs(shown[0]) or 1.0)
    return min(shown) - pad, max(shown) + pad
