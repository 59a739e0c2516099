"""Errors that a user sees: one sentence of what is wrong and where, one of what to type. No traceback."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class BenchdogError(Exception):
    """A failure that the user can act on; `code` is the exit code of the command."""

    code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  {self.hint}" if self.hint else self.message


class Failed(BenchdogError):
    """Something went wrong while working: a full disk, a port in use, a loss that is not a number."""

    code = 1


class BadUsage(BenchdogError):
    """The command or the recipe can't mean anything: an unknown key, component or run."""

    code = 2


class NotAvailable(BenchdogError):
    """A known thing that this machine lacks: hardware, a package, a plugin."""

    code = 3


class Refused(BenchdogError):
    """A verification that did not hold."""

    code = 4


class BadData(BenchdogError):
    """Data that is missing, empty, corrupt, or whose hash doesn't match."""

    code = 5


class Stopped(BenchdogError):
    """A signal ended the run, after a checkpoint: 130 for Ctrl-C, 143 for SIGTERM."""

    def __init__(self, message: str, hint: str, code: int) -> None:
        super().__init__(message, hint)
        self.code = code


def no_artifact(run: str) -> BadUsage:
    """Say that a run is not finished."""
    return BadUsage(f"Run {run!r} has no artifact yet.", f"Finish it: benchdog train --resume {run}")


def nearest(word: str, known: Iterable[str]) -> str:
    """Say which known word is meant, and which there are: for the hint of an error."""
    names = sorted(known)
    close = get_close_matches(word, names, n=1, cutoff=0.5)
    listed = ", ".join(names) if names else "none"
    return (f"Did you mean {close[0]!r}? " if close else "") + f"There is: {listed}."
