"""Limits of the system: what was reached, its value and what to do, in place of torch's traceback."""

import errno
import subprocess
import sys

import pytest

from benchdog.plugins.error_origin import machine_fault

resource = pytest.importorskip("resource", reason="limits are POSIX's")


@pytest.mark.parametrize(
    ("error", "message", "hint"),
    [
        (OSError(errno.EMFILE, "Too many open files"), "Too many open files", "ulimit -n 4096"),
        (RuntimeError("received 0 items of ancdata"), "Too many open files", "ulimit -n 4096"),
        (RuntimeError("Too many open files. Communication with the workers is ..."), "Too many open files", "ulimit"),
        (BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"), "process or thread", "ulimit -u"),
        (RuntimeError("can't start new thread"), "process or thread", "ulimit -u"),
        (MemoryError(), "Not enough memory", "--batch-size"),
        (
            MemoryError("Unable to allocate 7.00 GiB for an array"),
            "Not enough memory for 7.00 GiB more",
            "--batch-size",
        ),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: tried to allocate 4096 bytes"),
            "Not enough memory for 4096 bytes more",
            "--batch-size",
        ),
        (OSError(errno.ENOSPC, "No space left on device", "/x/y"), "/x/y: No space left", "Free space"),
        (OSError(errno.EDQUOT, "Disk quota exceeded", "/x/y"), "/x/y: Disk quota exceeded", "quota"),
        (OSError(errno.EFBIG, "File too large", "/x/y"), "/x/y: File too large", "ulimit -f"),
        (
            FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp', '/work']"),
            "['/tmp', '/work']",
            "TMPDIR",
        ),
    ],
)
def test_limit_is_named_with_a_remedy(error, message, hint):
    fault = machine_fault(error)
    assert fault is not None
    assert fault.code == 1
    assert message in fault.message
    assert hint in fault.hint


@pytest.mark.parametrize(
    "error", [RuntimeError("shapes differ"), OSError(errno.ENOENT, "No such file"), ValueError()]
)
def test_other_errors_are_no_limits(error):
    assert machine_fault(error) is None


def test_value_of_the_limit_is_named():
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (77, 77)); "
        "from benchdog.system.limits import exceeded; print(exceeded(OSError(24, 'Too many open files')).message)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "Too many open files: this process may have 77 (ulimit -n)."
