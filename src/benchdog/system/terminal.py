"""What a person sees: whether they want to be told anything, and whether a line on their screen can be drawn anew."""

from __future__ import annotations

import os
import sys

_quiet = False


def hush(quiet: bool) -> None:
    """Say nothing from now on, but for errors; or speak again."""
    global _quiet
    _quiet = quiet


def quiet() -> bool:
    """Say whether nothing is to be said."""
    return _quiet


def draws() -> bool:
    """Say whether a bar can be drawn on stderr: on a terminal that moves its cursor, when it isn't to be quiet."""
    return not quiet() and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
