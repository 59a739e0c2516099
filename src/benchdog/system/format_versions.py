"""The numbers of what Benchdog writes, and what is said of a folder that has another.

A number goes up when a reader of the one before would go wrong. What was written under a number from 1 on is
read for ever: tests/golden holds a folder of each.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from benchdog.errors import BadData

ARTIFACT: Final = 1
EXPORT: Final = 1
RUN: Final = 1
CHECKPOINT: Final = 1


class OtherFormat(BadData):
    """It is whole, but this Benchdog doesn't read it."""


def check(number: Any, this: int, path: Path, again: str, by: Any = None) -> None:
    """Refuse what has another format's number.

    Args:
        number: what the file says.
        this: the number that is read.
        path: of the file.
        again: what to do about a file of format 0, which nobody but its first users has.
        by: the version of Benchdog that wrote it, where it is known.

    Raises:
        OtherFormat: it was written by a later version, or before the formats were fixed.
        BadData: it is no number of a format.
    """
    if number == this and type(number) is int:
        return
    writer = f", written by Benchdog {by}" if isinstance(by, str) else ""
    if number == 0 and type(number) is int:
        raise OtherFormat(f"{path} has format 0{writer}, from before the formats were fixed.", again)
    if type(number) is int and number > this:
        raise OtherFormat(f"{path} has format {number}{writer}; this one reads {this}.", "Update Benchdog.")
    raise BadData(f"{path} has no format's number, but {number!r}.", "The file is damaged: copy or make it again.")
