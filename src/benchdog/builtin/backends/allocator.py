"""Freed memory stays in the process while it trains: each step needs as much again."""

from __future__ import annotations

import ctypes
import os
from functools import cache

TRIM, MMAP = -1, -3
"""glibc's names M_TRIM_THRESHOLD and M_MMAP_THRESHOLD (mallopt(3))."""
LARGEST = 32 * 1024**2
"""Bytes up to which blocks come from the heap; glibc allows no more."""
KEPT = 1024**3
"""Bytes free at the heap's end from which they are given back."""
SET = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")


@cache
def keep_freed_memory() -> bool:
    """Let glibc keep what a step frees; else the system takes it and clears new pages for the next one.

    That took up to a third of the time of small nets. Nothing is done, and False is given, for another C library and
    where the user has set the allocator.
    """
    if any(name in os.environ for name in SET):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # macOS, Windows, musl
        return False
    return bool(mallopt(MMAP, LARGEST) and mallopt(TRIM, KEPT))
