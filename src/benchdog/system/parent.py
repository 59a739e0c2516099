"""The parent of a worker process: its signals arrive through standard input, and the worker ends with it.

A line holds a signal's number; the end of the input means that the parent is gone. A terminal's Ctrl-C therefore
reaches each worker once, on every system.
"""

from __future__ import annotations

import os
import signal
import threading


def follow_parent() -> None:
    """Raise the signals that the parent writes to standard input, and exit with code 1 when the parent is gone."""
    threading.Thread(target=_listen, daemon=True).start()


def _listen() -> None:
    # The descriptor is read, not sys.stdin: interpreter shutdown would wait for its lock.
    text = b""
    while received := os.read(0, 64):
        text += received
        while b"\n" in text:
            line, _, text = text.partition(b"\n")
            signal.raise_signal(int(line))
    os._exit(1)
