"""What a person sees on the terminal: whether messages are wanted, whether a progress bar can be drawn."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from benchdog.system.escapes import printable

# A new thread starts with the default: background threads that print take the flag from their owner.
_quiet: ContextVar[bool] = ContextVar("quiet", default=False)


@contextmanager
def quieted(quiet: bool) -> Iterator[None]:
    """Print nothing but errors inside the block, if `quiet`."""
    token = _quiet.set(quiet)
    try:
        yield
    finally:
        _quiet.reset(token)


def quiet() -> bool:
    """Whether only errors are printed."""
    return _quiet.get()


def show(text: str) -> None:
    """Print a message on stderr, control characters of other people's names escaped."""
    print(printable(text), file=sys.stderr, flush=True)


def draws() -> bool:
    """Whether a progress bar can be drawn on stderr: a terminal that moves its cursor, and not --quiet."""
    return not quiet() and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
