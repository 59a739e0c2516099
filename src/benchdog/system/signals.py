"""Signals: during a run noticed at once and obeyed after the step, elsewhere an end with its own exit code."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from benchdog.errors import Stopped
from benchdog.system import paths


class Terminated(KeyboardInterrupt):
    """SIGTERM: ends what is under way as Ctrl-C does, with another exit code."""

    code = 143


@contextmanager
def heeded() -> Iterator[None]:
    """Let SIGTERM be raised, so that what is open is closed and the exit code is told."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, frame: FrameType | None) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def held() -> Iterator[None]:
    """Let signals wait for the end of foreign code that would take what they raise for a fault of a file."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda caught, frame: came.append(caught)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for sent in came:
            signal.raise_signal(sent)


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
            raise Terminated if number == signal.SIGTERM else KeyboardInterrupt
        self.number = number

    def __exit__(self, *exc: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)


def interrupted(run: Path, resumable: bool, code: int) -> Stopped:
    """Say how to go on after a signal outside of steps: before the first, after the last, or at the second signal."""
    short = paths.short(run)
    on, again = f"Go on with: benchdog train --resume {short}", f"Begin again: benchdog train {short}/recipe.toml"
    return Stopped("Stopped before artifact and report were written.", on if resumable else again, code)
