"""Standard streams while plugins are loaded: a print can't spoil a command's result, and nothing reads its input."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO, cast

from benchdog.system import terminal

KEPT = 60
"""Characters of what was printed that a message shows."""


class Spoken(io.TextIOBase):
    """A standard output that goes to stderr and notes what was written."""

    encoding = "utf-8"

    def __init__(self) -> None:
        self._text = ""

    def write(self, text: str, /) -> int:
        """Write to stderr."""
        self._text = (self._text + text)[: KEPT + 1]
        return terminal.MESSAGES.write(text)

    def flush(self) -> None:
        """Flush stderr."""
        terminal.MESSAGES.flush()

    def reconfigure(self, **settings: Any) -> None:
        """Change nothing."""

    @property
    def buffer(self) -> Any:
        """The bytes below stderr."""
        return getattr(sys.stderr, "buffer", io.BytesIO())

    def fileno(self) -> int:
        """Return the descriptor of stderr."""
        return 2

    def taken(self) -> str:
        """Return the beginning of what was written since the last call."""
        text, self._text = " ".join(self._text.split()), ""
        return text if len(text) <= KEPT else f"{text[:KEPT]}..."


@contextmanager
def aside(*, descriptors: bool) -> Iterator[Spoken]:
    """Give code inside the block an empty input, and an output that goes to stderr.

    Args:
        descriptors: also to code below Python. Not in a process whose input is its parent's voice.
    """
    spoken, before = Spoken(), (sys.stdin, sys.stdout)
    with suppress(OSError, ValueError):
        sys.stdout.flush()
    saved = _redirected() if descriptors else []
    sys.stdin, sys.stdout = io.StringIO(), cast(TextIO, spoken)
    try:
        yield spoken
    finally:
        sys.stdin, sys.stdout = before
        for number, copy in enumerate(saved):
            os.dup2(copy, number)
            os.close(copy)


def _redirected() -> list[int]:
    """Connect 0 with the null device and 1 with stderr; return copies of what they were."""
    saved: list[int] = []
    with suppress(OSError):
        saved = [os.dup(0), os.dup(1)]
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        os.dup2(2, 1)
    return saved
