"""Locks between processes; the system releases those of a process that dies."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchdog.errors import Failed
from benchdog.system import paths, terminal

NOTICE, LONGEST = 5.0, 3600.0
"""Seconds of waiting after which a note says for what, and after which it ends."""


@contextmanager
def locked(file: Path, work: str) -> Iterator[None]:
    """Hold a lock inside the block, after another process has released it.

    Args:
        file: of the lock.
        work: what the other process does with it, for messages: "downloads digits.npz".

    Raises:
        Failed: it still has the lock after an hour.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(file)
    try:
        lock.acquire(timeout=NOTICE)
    except Timeout:
        terminal.note(f"waiting for another process, which {work}")
        try:
            lock.acquire(timeout=LONGEST)
        except Timeout:
            raise Failed(
                f"Another process {work} and has held {paths.short(file)} for {LONGEST / 60:.0f} minutes.",
                "End it if it hangs, then try again.",
            ) from None
    try:
        yield
    finally:
        lock.release()
