"""Lines of the table of planted faults in docs/reference/conformance.md."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

PAGE = Path(__file__).resolve().parents[3] / "docs" / "reference" / "conformance.md"


def row(name: str, result: dict[str, Any]) -> str:
    """Format a row of the table."""
    cells = (result["kind"], f"`{name}`", result["check"], result["found"], result["remedy"])
    return "| " + " | ".join(plain(cell) for cell in cells) + " |"


def plain(text: str) -> str:
    """Return a cell's text without paths, which differ between machines, and without characters that break tables."""
    text = re.sub(r"(?<![\w.])(?:[A-Za-z]:)?[\\/](?:[\w.-]+[\\/])+([\w.-]+)", r"\1", text)
    return " ".join(text.replace("|", "or").split())


def without_numbers(text: str) -> str:
    """Return a line without its numbers, which depend on the hardware."""
    return re.sub(r"\d[\d.e+-]*", "#", text)


def documented(name: str, result: dict[str, Any]) -> bool:
    """Return whether the page has this line, ignoring numbers."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    return without_numbers(row(name, result)) in map(without_numbers, lines)
