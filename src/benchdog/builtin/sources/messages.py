"""Helpers of the sources: messages, natural order of names, paths, text files."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from itertools import islice
from pathlib import Path

from benchdog.api import BadData, BadUsage


def natural_key(name: str) -> tuple[list[str | int], str]:
    """Return a natural sort key: 2 comes before 10."""
    # split with a group alternates text and digits, so texts are never compared with numbers
    parts = enumerate(re.split(r"([0-9]+)", name))
    return [int(part) if i % 2 else part.casefold() for i, part in parts], name


def shortened(items: Iterable[object], total: int, most: int = 5) -> str:
    """List the first of `total` items: "3, 7, 9 and 14 more"."""
    text = ", ".join(str(item) for item in islice(items, most))
    return f"{text} and {total - most:,} more" if total > most else text


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


def read_text(path: Path) -> str:
    """Read a UTF-8 text file without its byte order mark, line ends as \\n; BadData when it can't be read."""
    try:
        data = path.read_bytes()
        return data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise BadData(
            f"{path} is not UTF-8: byte {data[error.start]:#04x} in line {line}.",
            "Save it as UTF-8 (a spreadsheet calls it 'CSV UTF-8').",
        ) from None
    except OSError as error:
        raise BadData(f"{path} can't be read: {error.strerror or error}.") from None
