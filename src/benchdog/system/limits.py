"""Limits of the system on this process, named in messages when one is reached."""

from __future__ import annotations

import errno
import re
from contextlib import suppress

from benchdog.errors import BenchdogError, Failed

MORE_FILES = "Allow more: ulimit -n 4096. Worker processes need the most: --workers 0."
MORE_PROCESSES = "Allow more: ulimit -u, or the limit of the container. Fewer are needed with --workers 0."
MORE_MEMORY = "Use a smaller --batch-size, fewer --workers or a smaller model, or end other programs."
MORE_TEMPORARY = "Free space there, or name another folder: TMPDIR=/somewhere"
TEMPORARY = "No usable temporary directory"
FILES = re.compile(r"Too many open files|received 0 items of ancdata")
THREADS = re.compile(r"can't start new thread|Resource temporarily unavailable")
MEMORY = re.compile(r"can't allocate memory|out of memory|Cannot allocate memory|std::bad_alloc")
TRIED = re.compile(r"(?:tried|Tried|Unable) to allocate ([\d.]+ ?(?:bytes|[KMGT]?i?B))")


def exceeded(error: BaseException) -> BenchdogError | None:
    """Return a sentence on a limit that was reached, with its value; None for other errors.

    torch raises RuntimeError for most of them, with the system's words somewhere in its text.
    """
    text, number = str(error), error.errno if isinstance(error, OSError) else 0
    torchs = isinstance(error, RuntimeError)
    if number == errno.EMFILE or (torchs and FILES.search(text)):
        return Failed(
            f"Too many open files{_of(' (ulimit -n)', 'RLIMIT_NOFILE', 'this process may have {}')}.", MORE_FILES
        )
    if number == errno.EAGAIN or (torchs and THREADS.search(text)):
        limit = _of(" (ulimit -u)", "RLIMIT_NPROC", "this user may have {}")
        return Failed(f"No further process or thread can be started{limit}.", MORE_PROCESSES)
    if isinstance(error, MemoryError) or number == errno.ENOMEM or (torchs and MEMORY.search(text)):
        tried = TRIED.search(text)
        asked = f" for {tried[1]} more" if tried else ""
        limit = _of(" bytes (ulimit -v)", "RLIMIT_AS", "this process may take {}")
        return Failed(f"Not enough memory{asked}{limit}.", MORE_MEMORY)
    if number == errno.ENOENT and TEMPORARY in text:
        return Failed(
            f"No folder for temporary files can be written: {text.partition(' found in ')[2]}.", MORE_TEMPORARY
        )
    return None


def _of(unit: str, name: str, sentence: str) -> str:
    """Return a clause with the value of a limit of this process; "" if it has none."""
    with suppress(ImportError, AttributeError, OSError, ValueError):  # Windows has no such limits
        import resource

        limit = resource.getrlimit(getattr(resource, name))[0]
        if limit != resource.RLIM_INFINITY:
            return f": {sentence.format(f'{limit:,}')}{unit}"
    return ""
