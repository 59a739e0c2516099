"""Handling of SIGINT and SIGTERM: a run ends after its current step, everything else at once, with an exit code."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from benchdog.errors import Stopped
from benchdog.system import paths

PROMPT = 2.0
"""Seconds that a run may still wait for another process after a signal; a batch that arrives in time is used."""


class Interrupted(Exception):
    """A signal arrived while a run waited for another process; no step is under way."""


class Terminated(KeyboardInterrupt):
    """SIGTERM: unwinds the stack as Ctrl-C does, with another exit code."""

    code = 143


@contextmanager
def sigterm_raises() -> Iterator[None]:
    """Raise `Terminated` on SIGTERM inside the block, so that files are closed and the exit code is set."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def terminate(number: int, frame: FrameType | None) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def deferred() -> Iterator[None]:
    """Deliver signals after the block: its third-party code would report their exceptions as a damaged file."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    pending: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda caught, frame: pending.append(caught)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for arrived in pending:
            signal.raise_signal(arrived)


class Signals:
    """Turns Ctrl-C and SIGTERM into a flag that is checked after each step; a second signal ends the run at once.

    Attributes:
        number: of the signal that arrived; 0 for none.
        since: when it arrived, by the monotonic clock.
    """

    def __init__(self) -> None:
        self.number = 0
        self.since = 0.0
        self.before: dict[int, Any] = {}

    def __enter__(self) -> Signals:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self.before[number] = signal.signal(number, self.notice)
        _entered.append(self)
        return self

    def notice(self, number: int, frame: FrameType | None) -> None:
        if self.number:
            raise Terminated if number == signal.SIGTERM else KeyboardInterrupt
        self.number, self.since = number, time.monotonic()

    def __exit__(self, *exc: object) -> None:
        _entered.remove(self)
        for number, handler in self.before.items():
            signal.signal(number, handler)


_entered: list[Signals] = []


def stop_waiting() -> None:
    """Raise `Interrupted` if a signal arrived `PROMPT` seconds ago; for loops that wait for another process."""
    if any(signals.number and time.monotonic() - signals.since > PROMPT for signals in _entered):
        raise Interrupted


def interrupted(run: Path, resumable: bool, code: int) -> Stopped:
    """Return the error for a signal that ended a run outside its steps; its hint resumes or restarts the run."""
    short = paths.short(run)
    resume, restart = f"Resume: benchdog train --resume {short}", f"Start over: benchdog train {short}/recipe.toml"
    return Stopped("Stopped before model and report were saved.", resume if resumable else restart, code)
