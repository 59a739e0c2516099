"""Import the modules of strangers without waiting for one of them for ever.

An import can't be broken off without harm, so each runs on a thread of its own: one that takes too long is
left behind, and goes on by itself.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import FrameType, ModuleType

from benchdog.errors import BadUsage

LISTING, WORKING = 1.0, 10.0
"""Seconds that commands wait for a plugin: those that list plugins, and all others."""
LEFT_OUT = "BENCHDOG_LEFT_OUT"
SOON = 0.25
"""Seconds after which the next import begins beside a slow one."""
TOLD = 1.0
"""Seconds of waiting after which a person is told for whom."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Late:
    """An import that was left behind: how long it was waited for, and what it did then."""

    seconds: float
    doing: str


Outcome = ModuleType | BaseException | Late


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


def modules(names: Sequence[str], seconds: float | None, tell: Callable[[str, str], None]) -> dict[str, Outcome]:
    """Import modules in their order.

    Args:
        names: of the modules.
        seconds: how long each is waited for; None imports on this thread and waits for ever.
        tell: called with a module's name and what it does, when it is waited for longer than a second.
    """
    if seconds is None:
        return {name: _import(name) for name in names}
    begun = [_begin(name, min(seconds, SOON)) for name in names]
    return {each.module: each.outcome_within(seconds, tell) for each in begun}


def left_behind() -> bool:
    """Say whether an import still goes on."""
    return any(isinstance(thread, _Import) for thread in threading.enumerate())


def _import(name: str) -> ModuleType | BaseException:
    try:
        return import_module(name)
    except BaseException as error:  # a stranger's module may raise anything
        return error


def _begin(name: str, seconds: float) -> _Import:
    thread = _Import(name)
    thread.start()
    thread.join(seconds)
    return thread


class _Import(threading.Thread):
    """The import of a module."""

    def __init__(self, module: str) -> None:
        super().__init__(name=f"import of {module}", daemon=True)
        self.module = module
        self.begun = time.monotonic()
        self.outcome: ModuleType | BaseException | None = None

    def run(self) -> None:
        self.outcome = _import(self.module)

    def outcome_within(self, seconds: float, tell: Callable[[str, str], None]) -> Outcome:
        """Wait until so many seconds after the beginning."""
        self._wait(min(seconds, TOLD))
        if self.is_alive() and seconds > TOLD:
            tell(self.module, self._doing())
            self._wait(seconds)
        if self.outcome is None:
            return Late(seconds=seconds, doing=self._doing())
        if isinstance(self.outcome, ValueError | RuntimeError) and "thread" in str(self.outcome):
            return _import(self.module)  # it needs the main thread: a signal's handler, an event loop
        return self.outcome

    def _wait(self, seconds: float) -> None:
        self.join(max(0.0, self.begun + seconds - time.monotonic()))

    def _doing(self) -> str:
        """Say where the import is: the line of the plugin's own, and the package that this line loads."""
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
