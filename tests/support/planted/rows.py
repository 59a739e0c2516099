"""Lines of the table of planted faults in docs/reference/conformance.md."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

PAGE = Path(__file__).resolve().parents[3] / "docs" / "reference" / "conformance.md"


def row(name: str, result: dict[str, Any]) -> str:
    """Write a line of the table."""
    cells = (result["kind"], f"`{name}`", result["check"], result["found"], result["remedy"])
    return "| " + " | ".join(plain(cell) for cell in cells) + " |"


def plain(text: str) -> str:
    """Give a cell's text without what differs between machines: paths, and what a table can't hold."""
    text = re.sub(r"(?<![\w.])(?:[A-Za-z]:)?[\\/](?:[\w.-]+[\\/])+([\w.-]+)", r"\1", text)
    return " ".join(text.replace("|", "or").split())


def likeness(text: str) -> str:
    """Give a line without its numbers, which depend on the processor."""
    return re.sub(r"\d[\d.e+-]*", "#", text)


def documented(name: str, result: dict[str, Any]) -> bool:
    """Say whether the page has this line, whatever the numbers."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    return likeness(row(name, result)) in map(likeness, lines)
