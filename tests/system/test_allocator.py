"""Allocator settings: freed memory is kept for the next step or batch, unless the user has configured malloc."""

import os
import platform
import subprocess
import sys

import pytest

KEEP = """
from benchdog.system.allocator import keep_freed_memory
print(keep_freed_memory())
"""
LOAD = """
from pathlib import Path
from benchdog.model.load import open_model
from benchdog.plugins import Plugins
open_model(Path({artifact!r}), Plugins.discover()).load()
"""
FAULTS = """
import resource, torch
def step():
    a = [torch.ones({size}) for _ in range(8)]
for _ in range(3): step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20): step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
SMALL, LARGE = 1_000_000, 12_000_000
"""Numbers of 4 bytes in a block that training keeps, and in one that only inference does."""
PAGES = 20 * 8 * 976
"""Pages that 20 steps with small blocks fill."""
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library"),
]


def printed(first: str, size: int, **env: str) -> list[str]:
    argv = [sys.executable, "-c", first + FAULTS.format(size=size)]
    done = subprocess.run(argv, env={**os.environ, **env}, capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_freed_memory_is_reused_in_the_next_step():
    kept, count = printed(KEEP, SMALL)
    assert kept == "True"
    assert int(count) < 1000
    kept, count = printed(KEEP, SMALL, MALLOC_TRIM_THRESHOLD_="131072", MALLOC_MMAP_THRESHOLD_="131072")
    assert kept == "False"
    assert int(count) > PAGES / 2


def test_freed_memory_is_reused_once_a_model_is_loaded(digits_run):
    (count,) = printed(LOAD.format(artifact=str(digits_run / "artifact")), LARGE)
    assert int(count) < 1000
    (count,) = printed("", LARGE)
    assert int(count) > 12 * PAGES / 2
