"""What a person sees on the terminal: whether messages are wanted, whether a progress bar can be drawn."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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
    """Print a message on stderr, control characters in names escaped.

    If stderr can't be written (a closed stream, a full disk), the message is lost and no error is raised.
    """
    print(printable(text), file=MESSAGES, flush=True)


def draws() -> bool:
    """Whether a progress bar can be drawn on stderr: a terminal that moves its cursor, and not --quiet."""
    return not quiet() and MESSAGES.isatty() and os.environ.get("TERM") != "dumb"


def note(text: str) -> None:
    """Print a note on stderr, unless --quiet."""
    if not quiet():
        show(f"note: {text}")


class Messages(io.TextIOBase):
    """Whatever stderr is at the moment; a closed one, or one whose reader is gone, loses what is written."""

    def write(self, text: str, /) -> int:
        """Write to stderr if that is possible."""
        with suppress(OSError, ValueError):  # ValueError: it was closed in Python
            if sys.stderr is not None:
                sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush stderr if that is possible."""
        with suppress(OSError, ValueError):
            if sys.stderr is not None:
                sys.stderr.flush()

    def isatty(self) -> bool:
        """Whether stderr is a terminal."""
        with suppress(OSError, ValueError):
            return sys.stderr is not None and sys.stderr.isatty()
        return False

    def fileno(self) -> int:
        """Return the descriptor of stderr, for its width."""
        return sys.stderr.fileno()


MESSAGES = Messages()
