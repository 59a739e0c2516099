"""Format versions of what Benchdog writes, and the error for a folder of another version.

A version is incremented when older readers would misread the new one. Every version from 1 on stays readable:
tests/golden holds a folder of each.
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
    """An intact file in a format that this Benchdog doesn't read."""


def check(number: Any, this: int, path: Path, again: str, by: Any = None) -> None:
    """Check the format version of a file.

    Args:
        number: the version in the file.
        this: the version that is read.
        path: of the file.
        again: hint for a file of format 0, from before the formats were stable.
        by: the version of Benchdog that wrote it, if known.

    Raises:
        OtherFormat: written by a later version, or before the formats were stable.
        BadData: not a format version.
    """
    if number == this and type(number) is int:
        return
    writer = f", written by Benchdog {by}" if isinstance(by, str) else ""
    if number == 0 and type(number) is int:
        raise OtherFormat(f"{path} has format 0{writer}, from before the formats were stable.", again)
    if type(number) is int and number > this:
        raise OtherFormat(f"{path} has format {number}{writer}; this version reads {this}.", "Update Benchdog.")
    raise BadData(f"{path} has an invalid format version: {number!r}.", "The file is damaged: copy or recreate it.")
