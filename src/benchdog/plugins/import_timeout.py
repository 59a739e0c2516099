"""Import the modules of strangers and call their hooks without waiting for one of them for ever.

An import can't be broken off without harm, so each runs on a thread of its own: one that takes too long is
left behind, and goes on by itself.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any, Self, TypeVar, cast

from benchdog.errors import BadUsage

Answer = TypeVar("Answer")

LISTING, WORKING = 1.0, 10.0
"""Seconds that commands wait for a plugin: those that list plugins, and all others."""
LEFT_OUT = "BENCHDOG_LEFT_OUT"
SOON = 0.25
"""Seconds after which the next import begins beside a slow one."""
TOLD = 1.0
"""Seconds of waiting after which a person is told for whom."""


class ImportTimeout(TimeoutError):
    """Something of a plugin's that was left behind: what it was, how long it was waited for, and what it did then."""

    def __init__(self, what: str, seconds: float, doing: str) -> None:
        super().__init__(f"takes longer than {seconds:g} s {what}: {doing}")


def patience(usual: float) -> float:
    """Give the seconds to wait for a plugin's import: `usual`, or what BENCHDOG_PATIENCE says."""
    text = os.environ.get("BENCHDOG_PATIENCE", "")
    try:
        return float(text or usual)
    except ValueError:
        raise BadUsage(f"BENCHDOG_PATIENCE is {text!r}.", "Set it to a number of seconds.") from None


def leave_out(name: str) -> None:
    """Let the processes that this one starts do without a plugin."""
    os.environ[LEFT_OUT] = ",".join([*left_out(), name])


def left_out() -> list[str]:
    """Give the plugins that the process which started this one did without."""
    return [name for name in os.environ.get(LEFT_OUT, "").split(",") if name]


def modules(names: Sequence[str], seconds: float | None) -> dict[str, ModuleType | BaseException]:
    """Import modules in their order; give each, or what it raised: `Late` when it took longer than so many seconds.

    None imports on this thread and waits for ever.
    """
    if seconds is None:
        return {name: _outcome(partial(import_module, name)) for name in names}
    begun = {name: _Work(name, "to import", partial(import_module, name)).begin(min(seconds, SOON)) for name in names}
    return {name: work.within(seconds) for name, work in begun.items()}


def call(function: Callable[[], Answer], module: str, seconds: float | None) -> Answer:
    """Call a function of a plugin's module; raise what it raises, `Late` when it takes longer."""
    if seconds is None:
        return function()
    outcome = _Work(module, "to say what it offers", function).begin(SOON).within(seconds)
    if isinstance(outcome, BaseException):
        raise outcome
    return cast(Answer, outcome)


def left_behind() -> bool:
    """Say whether something of a plugin's still goes on."""
    return any(isinstance(thread, _Work) for thread in threading.enumerate())


def _outcome(function: Callable[[], Any]) -> Any:
    try:
        return function()
    except BaseException as error:  # a stranger's code may raise anything
        return error


class _Work(threading.Thread):
    """A function of a plugin's, on a thread of its own."""

    def __init__(self, module: str, what: str, function: Callable[[], Any]) -> None:
        super().__init__(name=f"plugin {module}", daemon=True)
        self.module, self.what, self.function = module, what, function
        self.begun = time.monotonic()
        self.outcome: Any = None

    def run(self) -> None:
        self.outcome = _outcome(self.function)

    def begin(self, seconds: float) -> Self:
        """Start, and look on for so many seconds."""
        self.start()
        self.join(seconds)
        return self

    def within(self, seconds: float) -> Any:
        """Wait until so many seconds after the beginning; give the outcome, an exception as a value."""
        self._wait(min(seconds, TOLD))
        if self.is_alive() and seconds > TOLD:
            print(f"benchdog: waiting for the plugin in {self.module}: {self._doing()}", file=sys.stderr, flush=True)
            self._wait(seconds)
        if self.is_alive():
            return ImportTimeout(self.what, seconds, self._doing())
        if isinstance(self.outcome, ValueError | RuntimeError) and "thread" in str(self.outcome):
            return _outcome(self.function)  # it needs the main thread: a signal's handler, an event loop
        return self.outcome

    def _wait(self, seconds: float) -> None:
        self.join(max(0.0, self.begun + seconds - time.monotonic()))

    def _doing(self) -> str:
        """Say where it is: the line of the plugin's own, and the package that this line loads."""
        own, line, loads = self.module.split(".")[0], "", ""
        for frame in _frames(sys._current_frames().get(self.ident or 0)):
            package = str(frame.f_globals.get("__name__", "")).split(".")[0]
            if package == own:
                line, loads = f"{Path(frame.f_code.co_filename).name}, line {frame.f_lineno}", ""
            elif line and not loads and package not in sys.stdlib_module_names and package != "importlib":
                loads = package
        if loads:
            return f"loading {loads} ({line})"
        return f"busy in {line}" if line else "not begun"


def _frames(frame: FrameType | None) -> list[FrameType]:
    """Give a thread's frames, the outermost first."""
    found: list[FrameType] = []
    while frame is not None:
        found.append(frame)
        frame = frame.f_back
    return found[::-1]
