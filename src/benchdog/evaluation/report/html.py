"""HTML that is escaped unless it was built here."""

from __future__ import annotations

import math
from collections.abc import Iterable
from html import escape
from typing import Any

WORDS = {
    "iou": "IoU", "mae": "MAE", "mse": "MSE", "rmse": "RMSE", "r2": "R²", "roc_auc": "ROC AUC", "f1": "F1",
    "macro_f1": "macro F1",
}  # fmt: skip
VOID = {"img", "meta", "br", "hr"}
THIN = "\u202f"  # the narrow space that belongs between a number and its unit, and never breaks


class Html(str):
    """Text that is markup already; every plain string is escaped when it becomes a child."""

    __slots__ = ()


NOTHING = Html("")


def h(tag: str, *children: object, **attributes: object) -> Html:
    """Build an element: `h("td", name, cls="num")`.

    None, False and "" are no children. `cls` stands for class and `_` in a name for "-".
    """
    pairs = "".join(
        f' {key.replace("cls", "class").replace("_", "-")}="{escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if tag in VOID:
        return Html(f"<{tag}{pairs}>")
    return Html(f"<{tag}{pairs}>{join(*children)}</{tag}>")


def join(*children: object) -> Html:
    """Put pieces one after the other, escaping those that are not markup."""
    return Html(
        "".join(
            child if isinstance(child, Html) else escape(str(child))
            for child in children
            if child is not None and child is not False
        )
    )


def table(heads: Iterable[object], rows: Iterable[Iterable[object]], *, numbers: int = 0) -> Html:
    """Build a table that scrolls when the page is too narrow.

    Args:
        heads: the columns' names; none for a table without a head.
        rows: cells; one that is a `td` already is taken as it is.
        numbers: from this column on, cells are numbers: to the right, digits below digits.
    """

    def line(tag: str, cells: Iterable[object]) -> Html:
        def cell(value: object, at: int) -> Html:
            done = isinstance(value, Html) and value.startswith("<td")
            return Html(value) if done else h(tag, value, cls="n" if at >= numbers else None)

        return h("tr", *(cell(value, at) for at, value in enumerate(cells)))

    head = list(heads)
    body = h("tbody", *(line("td", row) for row in rows))
    return h("div", h("table", h("thead", line("th", head)) if head else None, body), cls="scroll")


def number(value: Any) -> float | None:
    """Give a finite float, or None for whatever else a file may hold."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def short(value: Any) -> str:
    """Write a value as a person reads it: four significant digits, a dash for what is not there."""
    if value is None:
        return "–"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, float) and not math.isfinite(value):
        return "not a number" if math.isnan(value) else ("∞" if value > 0 else "−∞")
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
    """Give three significant digits: an end of an interval isn't known better."""
    return float(f"{value:.3g}") if abs(value) < 1000 else round(value)


def wording(metric: str) -> str:
    """Write a metric's name for people: "macro_f1" is "macro F1"."""
    return WORDS.get(metric, metric.replace("_", " "))


def percent(share: float) -> str:
    """Write a share as a percentage with one decimal, two where one would round to 100 or 0."""
    places = 2 if 0 < share < 0.001 or 0.999 < share < 1 else 1
    return f"{100 * share:.{places}f}{THIN}%"


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
