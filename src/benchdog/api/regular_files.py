"""Reading files whole: regular files alone, up to a size.

A named pipe would be waited for, a device read without end, and a sparse file of gigabytes fill the memory.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO, Final

MAX_IMAGE_BYTES: Final = 2**30
"""Largest image file that is read whole."""
MAX_ARRAY_BYTES: Final = 4 * 2**30
"""Largest array file: a volume has more bytes than an image."""
MAX_TEXT_BYTES: Final = 4 * 2**30
"""Largest text or table."""
MAX_RECIPE_BYTES: Final = 2**24
"""Largest recipe, and JSON file that describes a model."""
KINDS: Final = (
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)
FLAGS: Final = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOCTTY", 0)


def read_regular(path: str | os.PathLike[str], limit: int) -> bytes:
    """Read a regular file of at most `limit` bytes.

    Raises:
        OSError: it can't be read, isn't a regular file or is larger; `strerror` says why.
    """
    with open_regular(path, limit) as file:
        data = file.read(limit + 1)
    if len(data) > limit:  # it grew, or is one of those of /proc whose size is 0
        raise _too_large(path, len(data), limit)
    return data


def open_regular(path: str | os.PathLike[str], limit: int) -> BinaryIO:
    """Open a regular file of at most `limit` bytes for reading.

    Raises:
        OSError: as `read_regular`.
    """
    _check(path, Path(path).stat(), limit)  # opening a device can act on it
    file = os.fdopen(os.open(path, FLAGS), "rb")
    try:
        _check(path, os.fstat(file.fileno()), limit)  # another file may have taken the name
    except OSError:
        file.close()
        raise
    return file


def _check(path: str | os.PathLike[str], found: os.stat_result, limit: int) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    if not stat.S_ISREG(found.st_mode):
        kind = next((name for test, name in KINDS if test(found.st_mode)), "something else")
        raise OSError(errno.EINVAL, f"it is {kind}, not a regular file", os.fspath(path))
    if found.st_size > limit:
        raise _too_large(path, found.st_size, limit)


def _too_large(path: str | os.PathLike[str], size: int, limit: int) -> OSError:
    text = f"it has {size:,} bytes, more than the {limit:,} that are read"
    return OSError(errno.EFBIG, text, os.fspath(path))
