"""What commands print: results on stdout, everything for people's eyes alone on stderr."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, TextIO

from benchdog.system import terminal
from benchdog.system.json_output import Lines, line, plain, stamped
from benchdog.system.paths import short as short_path

__all__ = [
    "abandon",
    "columns",
    "complain",
    "emit_json",
    "emit_line",
    "emitted",
    "is_terminal",
    "lines",
    "release",
    "reserve",
    "say",
    "short_path",
    "write_json",
]

_kept: list[tuple[TextIO, TextIO | None]] = []
"""The stdout that was found, and where documents go, while everything else is sent to stderr."""


_emitted = False


def say(text: str) -> None:
    """Tell a person something, on stderr, if they want to be told."""
    if not terminal.quiet():
        complain(text)


def complain(text: str) -> None:
    """Tell a person what they must know, on stderr."""
    print(text, file=sys.stderr, flush=True)


def emit_json(value: Mapping[str, Any]) -> None:
    """Print one JSON document on stdout, with the number of its format; what is not a number becomes null."""
    write_json(stamped(value))


def write_json(value: Any) -> None:
    """Print JSON that is no document of Benchdog's own kind."""
    _write(json.dumps(plain(value), ensure_ascii=False, indent=2) + "\n")


def emit_line(value: Mapping[str, Any]) -> None:
    """Print one JSON document in one line."""
    _write(line(value))


def lines() -> Lines:
    """Give what writes events on stdout, line by line."""
    return Lines(_documents())


def reserve() -> None:
    """Keep stdout for documents: whatever else is printed, by whatever code, in Python or below, goes to stderr."""
    if _kept:
        return
    found = sys.stdout
    found.flush()
    documents = None
    with suppress(OSError, ValueError):  # a stream in memory has no number
        number, others = found.fileno(), sys.stderr.fileno()
        documents = os.fdopen(os.dup(number), "w", encoding="utf-8", newline="\n")
        os.dup2(others, number)
    _kept.append((found, documents))
    sys.stdout = sys.stderr


def release() -> None:
    """Give stdout back."""
    global _emitted
    _emitted = False
    while _kept:
        found, documents = _kept.pop()
        sys.stdout = found
        if documents is not None:
            os.dup2(documents.fileno(), found.fileno())
            with suppress(BrokenPipeError):
                documents.close()


def abandon() -> None:
    """Write no more where nobody reads."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (_documents(), sys.stdout):
        with suppress(OSError, ValueError):
            os.dup2(nowhere, stream.fileno())


def _documents() -> TextIO:
    found, documents = _kept[-1] if _kept else (sys.stdout, None)
    return documents or found


def emitted() -> bool:
    """Say whether a document was printed."""
    return _emitted


def _write(text: str) -> None:
    global _emitted
    _emitted = True
    documents = _documents()
    documents.write(text)
    documents.flush()


def columns(rows: Sequence[Sequence[Any]], header: Sequence[str]) -> str:
    """Align rows under a header; numbers to the right."""
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max(len(row[i]) for row in [list(header), *cells]) for i in range(len(header))]
    right = [bool(rows) and all(_number(row[i]) for row in rows) for i in range(len(header))]
    lines = []
    for row in [list(header), *cells]:
        parts = [
            text.rjust(width) if to_right else text.ljust(width)
            for text, width, to_right in zip(row, widths, right, strict=True)
        ]
        lines.append("  ".join(parts).rstrip())
    return "\n".join(lines)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def is_terminal() -> bool:
    """Say whether a person can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()
