"""HTML elements, escaped unless they were built here."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from benchdog.evaluation.report.formatting import Html

VOID = {"img", "meta", "br", "hr"}
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


def section(title: str, *children: object) -> Html:
    """Build a section with a heading; nothing when it would be empty."""
    body = join(*children)
    return h("section", h("h2", title), body) if body else NOTHING
