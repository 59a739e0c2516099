"""Numbers and names as people write them."""

from __future__ import annotations

import math
from typing import Any

from benchdog.api import Metric

THIN = "\u202f"  # the narrow no-break space between a number and its unit


class Html(str):
    """Text that is markup already: templates don't escape it."""

    __slots__ = ()

    def __html__(self) -> str:
        return self


def number(value: Any) -> float | None:
    """Return a finite float, or None for whatever else a file may hold."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def short(value: Any) -> str:
    """Write a value with four significant digits; a dash for a missing one."""
    if value is None:
        return "–"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, float) and not math.isfinite(value):
        return "not a number" if math.isnan(value) else ("∞" if value > 0 else "−∞")
    if 1e4 <= abs(value) < 1e9:  # more digits than four, but no power of ten
        value = round(value)
    if isinstance(value, int) or (value.is_integer() and abs(value) < 1e15):
        return f"{int(value):,}".replace(",", THIN).replace("-", "−")
    digits = f"{value:.4g}"
    if "e" in digits:
        mantissa, exponent = digits.split("e")
        digits = f"{mantissa}·10^{int(exponent)}"
    return digits.replace("-", "−")


def between(value: float | None, pair: tuple[float, float] | None) -> str:
    """Write a figure with its interval: "0.98 (0.97 to 0.99)"."""
    if pair is None or value is None:
        return short(value)
    return f"{short(value)} ({short(rounded(pair[0]))} to {short(rounded(pair[1]))})"


def rounded(value: float) -> float:
    """Round to three significant digits: the end of an interval isn't known better."""
    return float(f"{value:.3g}") if abs(value) < 1000 else round(value)


def metric(name: str) -> Metric | None:
    """Return a metric's definition; None for one that only its task knows."""
    from benchdog.builtin.tasks.metrics.definitions import CATALOG

    return CATALOG.get(name)


def wording(name: str) -> str:
    """Return a metric's label: "macro F1" for "macro_f1"."""
    known = metric(name)
    return known.text if known else name.replace("_", " ")


def is_share(name: str) -> bool:
    """Whether a metric is written as a percentage: one that lies between 0 and 1."""
    known = metric(name)
    return known is not None and known.range == (0, 1)


def percent(share: float | None) -> str:
    """Write a share as a percentage with one decimal, two where one would round to 100 or 0."""
    if share is None:
        return "–"
    places = 2 if 0 < share < 0.001 or 0.999 < share < 1 else 1
    return f"{100 * share:.{places}f}{THIN}%"


def figure_text(name: str, value: Any) -> str:
    """Write a metric's value: a percentage or a number; whatever else a file holds, as it is."""
    share = number(value) if is_share(name) else None
    return short(value) if share is None or not 0 <= share <= 1 else percent(share)


def seconds(value: Any) -> str:
    """Write a duration: "4.2 s", "3 min 20 s", "2 h 5 min"."""
    time = number(value)
    if time is None:
        return "–"
    if time < 60:
        return f"{time:.2g}{THIN}s" if time < 10 else f"{time:.0f}{THIN}s"
    minutes, rest = divmod(round(time), 60)
    if minutes < 60:
        return f"{minutes}{THIN}min {rest}{THIN}s"
    return f"{minutes // 60}{THIN}h {minutes % 60}{THIN}min"
