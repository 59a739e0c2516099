"""How other processes ended."""

from __future__ import annotations

import signal

LIKELY = {
    "SIGKILL": "out of memory?",
    "SIGBUS": "/dev/shm full, or a file cut off while it was read?",
    "SIGSEGV": "a fault in the native code of a library?",
    "SIGILL": "a library built for another processor?",
    "SIGABRT": "aborted by a library",
}
"""Usual causes of a signal that nobody sent on purpose."""


def how_it_ended(code: int | None) -> str:
    """Describe an exit code of a child process, negative for a signal: "was ended by signal 9 (SIGKILL: ...)"."""
    if code is None:
        return "ended unexpectedly"
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        return f"was ended by signal {-code}"
    likely = LIKELY.get(name, "")
    return f"was ended by signal {-code} ({name}: {likely})" if likely else f"was ended by signal {-code} ({name})"
