"""User-facing exceptions: one sentence on what is wrong and where, one on what to type; shown without a traceback."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from itertools import islice

LONGEST = 2000
"""Characters of a message or a hint; a key or a list of a foreign file can have millions."""


class BenchdogError(Exception):
    """An error that the user can act on; `code` is the command's exit code."""

    code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        self.message, self.hint = shortened(message), shortened(hint)
        super().__init__(self.message)

    def __str__(self) -> str:
        return f"{self.message}\n  {self.hint}" if self.hint else self.message


class Failed(BenchdogError):
    """Something failed at run time: a full disk, a port in use, a NaN loss."""

    code = 1


class BadUsage(BenchdogError):
    """An invalid command or recipe: an unknown key, component or run."""

    code = 2


class NotAvailable(BenchdogError):
    """Something that this machine lacks: hardware, a package, a plugin."""

    code = 3


class Refused(BenchdogError):
    """A failed verification."""

    code = 4


class BadData(BenchdogError):
    """Data that is missing, empty, corrupt, or whose hash doesn't match."""

    code = 5


class Stopped(BenchdogError):
    """A signal ended the run, after a checkpoint: 130 for Ctrl-C, 143 for SIGTERM."""

    def __init__(self, message: str, hint: str, code: int) -> None:
        super().__init__(message, hint)
        self.code = code


def shortlist(items: Iterable[object], most: int = 5) -> str:
    """List the first items: "3, 7, 9 and 14 more"."""
    rest = iter(items)
    text = ", ".join(map(str, islice(rest, most)))
    more = sum(1 for _ in rest)
    return f"{text} and {more:,} more" if more else text


def shortened(text: str) -> str:
    """Return a message's text, with the middle cut if it is too long."""
    if len(text) <= LONGEST:
        return text
    return f"{text[: LONGEST * 3 // 4]} ... [{len(text) - LONGEST:,} characters left out] ... {text[-LONGEST // 4 :]}"


def no_artifact(run: str) -> BadUsage:
    """Return the error for a run that is not finished."""
    return BadUsage(f"Run {run!r} has no artifact yet.", f"Finish it: benchdog train --resume {run}")


def nearest(word: str, known: Iterable[str]) -> str:
    """Return a hint for an unknown word: the nearest known one, and all of them."""
    names = sorted(known)
    close = get_close_matches(word, names, n=1, cutoff=0.5)
    listed = ", ".join(names) if names else "none"
    return (f"Did you mean {close[0]!r}? " if close else "") + f"Available: {listed}."
