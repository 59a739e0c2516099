"""The parent of a worker process: its signals arrive through standard input, and the worker ends with it.

A line holds a signal's number; the end of the input means that the parent is gone. A terminal's Ctrl-C therefore
reaches each worker once, on every system.
"""

from __future__ import annotations

import os
import signal
import threading
import time

from benchdog.system import exits


def follow_parent() -> None:
    """Raise the signals that the parent writes to standard input, and exit with code 1 when the parent is gone."""
    threading.Thread(target=_listen, daemon=True).start()


def end_with_parent() -> None:
    """Exit with code 1 within a second of the parent; for a process whose standard input is used otherwise."""
    threading.Thread(target=_follow, args=(os.getppid(),), daemon=True).start()


def _follow(parent: int) -> None:
    while os.getppid() == parent:  # on Windows it stays, and so does this process until it is done
        time.sleep(1)
    exits.end(1)  # os._exit raises in a rank, so that no component ends it


def _listen() -> None:
    # The descriptor is read, not sys.stdin: interpreter shutdown would wait for its lock.
    text = b""
    while received := os.read(0, 64):
        text += received
        while b"\n" in text:
            line, _, text = text.partition(b"\n")
            signal.raise_signal(int(line))
    exits.end(1)  # os._exit raises in a rank, so that no component ends it
