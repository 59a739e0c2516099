"""Helpers of the sources: messages and paths."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path

from benchdog.api import HIDDEN, BadData, BadUsage, shortlist


def skipped_notes(skipped: Mapping[str, Sequence[str]]) -> list[str]:
    """Name the files that are skipped, by reason. Hidden ones are counted, but nobody wants to read them."""
    return [
        f"Skipped, {reason}: {len(names):,} ({shortlist(names)})."
        for reason, names in skipped.items()
        if reason != HIDDEN
    ]


def suggest(word: str, known: Iterable[str]) -> str:
    """Return a hint with the closest known name, and all of them."""
    names = list(known)
    close = get_close_matches(word, names, n=1, cutoff=0.5)
    return (f"Did you mean {close[0]!r}? " if close else "") + f"Available: {', '.join(names)}."


def existing_path(path: Path | None, source: str, what: str) -> Path:
    """Return a required path.

    Raises:
        BadUsage: the option isn't set.
        BadData: the path doesn't exist.
    """
    if path is None:
        raise BadUsage(
            f"The source {source} needs the path of {what}.",
            "Add --set source.path=PATH, or path = in the recipe's [source].",
        )
    if not path.exists():
        raise BadData(f"{path} doesn't exist.", f"Set source.path to {what}.")
    return path
