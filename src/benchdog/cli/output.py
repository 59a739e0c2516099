"""Output of commands: results on stdout, messages for people on stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO, cast

from benchdog.strict_json import json_text
from benchdog.system import terminal
from benchdog.system.escapes import one_line, printable
from benchdog.system.json_output import Lines, line, plain, stamped
from benchdog.system.paths import short as short_path

__all__ = [
    "abandon",
    "columns",
    "complain",
    "echo",
    "echo_path",
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

_reserved: list[tuple[TextIO, TextIO | None]] = []
"""The original stdout, and the stream of JSON documents, while everything else is redirected to stderr."""
_emitted = False
_failures: list[OSError] = []
"""What failed on stdout."""


def say(text: str) -> None:
    """Print a message on stderr, unless --quiet."""
    if not terminal.quiet():
        complain(text)


def complain(text: str) -> None:
    """Print an error or a necessary message on stderr."""
    terminal.show(text)


def echo(text: str) -> None:
    """Print a result on stdout, control characters in names escaped."""
    print(printable(text), flush=True)


def echo_path(path: Path) -> None:
    """Print a path on stdout: the name itself for a script, whatever its bytes; escaped for a person."""
    if sys.stdout.isatty():
        echo(str(path))
        return
    try:
        print(path, flush=True)
    except UnicodeEncodeError:  # a name that isn't UTF-8
        sys.stdout.buffer.write(os.fsencode(path) + b"\n")
        sys.stdout.buffer.flush()


def emit_json(value: Mapping[str, Any]) -> None:
    """Print one JSON document on stdout, with its format number; NaN and infinity become null."""
    write_json(stamped(value))


def write_json(value: Any) -> None:
    """Print JSON without Benchdog's format number."""
    _write(printable(json_text(plain(value), indent=2)) + "\n")


def emit_line(value: Mapping[str, Any]) -> None:
    """Print one JSON document on one line."""
    _write(line(value))


def lines() -> Lines:
    """Return a writer of events as JSON lines on stdout."""
    return Lines(_documents())


class _Watched:
    """A stream that notes what fails: after an error, the buffers of Python don't have it any more."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write, and note an error."""
        with _noted():
            return self._stream.write(text)

    def flush(self) -> None:
        """Flush, and note an error."""
        with _noted():
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def _noted() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        _failures.append(error)
        raise


@contextmanager
def watched() -> Iterator[None]:
    """Note inside the block what fails on stdout; afterwards stdout is what it was."""
    _failures.clear()
    before, sys.stdout = sys.stdout, cast(TextIO, _Watched(sys.stdout))
    try:
        yield
    finally:
        release()
        sys.stdout = before


def reserve() -> None:
    """Reserve stdout for JSON documents: anything else that is printed, from Python or below, goes to stderr."""
    if _reserved:
        return
    stdout = sys.stdout
    stdout.flush()
    documents = None
    with suppress(OSError, ValueError):  # a stream in memory has no file descriptor
        descriptor, stderr = stdout.fileno(), sys.stderr.fileno()
        opened = os.fdopen(os.dup(descriptor), "w", encoding="utf-8", newline="\n")
        documents = cast(TextIO, _Watched(opened))
        os.dup2(stderr, descriptor)
    _reserved.append((stdout, documents))
    sys.stdout = sys.stderr


def release() -> None:
    """Restore stdout."""
    global _emitted
    _emitted = False
    while _reserved:
        stdout, documents = _reserved.pop()
        sys.stdout = stdout
        if documents is not None:
            os.dup2(documents.fileno(), stdout.fileno())
            with suppress(OSError):
                documents.close()


def stdout_failure() -> OSError | None:
    """Return what prevents that stdout is written: a reader that is gone, a full disk; None if it can be."""
    with suppress(OSError):
        _documents().flush()
    return _failures[0] if _failures else None


def abandon() -> None:
    """Discard further output, since stdout can't be written."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    for stream in (_documents(), sys.stdout):
        with suppress(OSError, ValueError):
            os.dup2(devnull, stream.fileno())


def _documents() -> TextIO:
    stdout, documents = _reserved[-1] if _reserved else (sys.stdout, None)
    return documents or stdout


def emitted() -> bool:
    """Whether a JSON document was printed."""
    return _emitted


def _write(text: str) -> None:
    global _emitted
    _emitted = True
    documents = _documents()
    documents.write(text)
    documents.flush()


def columns(rows: Sequence[Sequence[Any]], header: Sequence[str]) -> str:
    """Format rows as aligned columns under a header; numbers are right-aligned."""
    header, cells = [_cell(name) for name in header], [[_cell(value) for value in row] for row in rows]
    widths = [max(len(row[i]) for row in [list(header), *cells]) for i in range(len(header))]
    numeric = [bool(rows) and all(_number(row[i]) for row in rows) for i in range(len(header))]
    lines = []
    for row in [list(header), *cells]:
        cells_of_row = [
            text.rjust(width) if is_number else text.ljust(width)
            for text, width, is_number in zip(row, widths, numeric, strict=True)
        ]
        lines.append("  ".join(cells_of_row).rstrip())
    return "\n".join(lines)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4f}" if isinstance(value, float) else one_line(str(value))


def _number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def is_terminal() -> bool:
    """Whether somebody can answer a prompt."""
    return sys.stdin.isatty() and sys.stderr.isatty()
