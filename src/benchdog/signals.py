"""Signals during a run: noticed at once, obeyed after the step."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Any

from benchdog import paths
from benchdog.errors import Stopped


class Signals:
    """Turns Ctrl-C and SIGTERM into a flag that the next step sees; a second one ends at once."""

    def __init__(self) -> None:
        self.number = 0
        self.before: dict[int, Any] = {}

    def __enter__(self) -> Signals:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self.before[number] = signal.signal(number, self.notice)
        return self

    def notice(self, number: int, frame: FrameType | None) -> None:
        if self.number:
            raise KeyboardInterrupt
        self.number = number

    def __exit__(self, *exc: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)


def interrupted(run: Path, resumable: bool) -> Stopped:
    """Say how to go on after Ctrl-C where no step is done: before the first, after the last, or at the second one."""
    short = paths.short(run)
    on, again = f"Go on with: benchdog train --resume {short}", f"Begin again: benchdog train {short}/recipe.toml"
    return Stopped("Stopped before artifact and report were written.", on if resumable else again, 130)
