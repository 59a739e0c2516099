"""Allocator settings: freed memory is kept for the next step, unless the user has configured malloc."""

import os
import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, torch
from benchdog.builtin.backends.allocator import keep_freed_memory
print(keep_freed_memory())
def step():
    a = [torch.ones(1_000_000) for _ in range(8)]  # 4 MB each
for _ in range(3): step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20): step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_freed_memory_is_reused_in_the_next_step():
    def faults(**env):
        done = subprocess.run(
            [sys.executable, "-c", FAULTS], env={**os.environ, **env}, capture_output=True, text=True, check=True
        )
        kept, count = done.stdout.split()
        return kept, int(count)

    kept, count = faults()
    assert kept == "True"
    assert count < 1000
    kept, count = faults(MALLOC_TRIM_THRESHOLD_="131072", MALLOC_MMAP_THRESHOLD_="131072")
    assert kept == "False"
    assert count > 20 * 8 * 500  # every page faults again: 4 MB are 976 pages
