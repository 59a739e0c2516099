"""Time limits for plugins' imports and hooks: a plugin that hangs is left out, and every command still works.

An import can't be interrupted safely, so each runs in a daemon thread of its own; one that exceeds its limit is
abandoned there.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any, TypeVar, cast

from benchdog.errors import BadUsage
from benchdog.system import terminal

Result = TypeVar("Result")

LISTING, WORKING = 1.0, 10.0
"""Seconds that commands wait for a plugin: those that list plugins, and all others."""
LEFT_OUT = "BENCHDOG_LEFT_OUT"
"""Environment variable: names of plugins that child processes must not wait for again."""
NOTICE = 1.0
"""Seconds of waiting after which stderr says for which plugin."""


class ImportTimeout(TimeoutError):
    """A plugin's code that exceeded its time limit: what it was to do, the limit, and where it was then."""

    def __init__(self, what: str, seconds: float, place: str) -> None:
        super().__init__(f"takes longer than {seconds:g} s {what}: {place}")


def patience(default: float) -> float:
    """Return the time limit in seconds: BENCHDOG_PATIENCE, or else `default`."""
    text = os.environ.get("BENCHDOG_PATIENCE", "")
    try:
        return float(text or default)
    except ValueError:
        raise BadUsage(f"BENCHDOG_PATIENCE is {text!r}.", "Set it to a number of seconds.") from None


def leave_out(name: str) -> None:
    """Make child processes run without a plugin."""
    os.environ[LEFT_OUT] = ",".join([*left_out(), name])


def left_out() -> list[str]:
    """Return the plugins that the parent process ran without."""
    return [name for name in os.environ.get(LEFT_OUT, "").split(",") if name]


def modules(names: Sequence[str], seconds: float | None) -> dict[str, ModuleType | BaseException]:
    """Import modules in order; return each, or what it raised: ImportTimeout when it exceeded the limit.

    None imports in this thread without a limit.
    """
    return {name: _outcome(name, "to import", partial(import_module, name), seconds) for name in names}


def call(function: Callable[[], Result], module: str, seconds: float | None) -> Result:
    """Call a function of a plugin's module and return its result; raise what it raises, or ImportTimeout."""
    outcome = _outcome(module, "to return its components", function, seconds)
    if isinstance(outcome, BaseException):
        raise outcome
    return cast(Result, outcome)


def left_behind() -> bool:
    """Whether a thread of a plugin that exceeded its limit still runs."""
    return any(isinstance(thread, _Attempt) for thread in threading.enumerate())


def _outcome(module: str, what: str, function: Callable[[], Any], seconds: float | None) -> Any:
    """Return a function's result, or the exception that it raised."""
    if seconds is None:
        return _caught(function)
    attempt = _Attempt(module, function)
    attempt.start()
    attempt.join(min(seconds, NOTICE))
    if attempt.is_alive() and seconds > NOTICE:
        terminal.show(f"benchdog: waiting for the plugin in {module}: {attempt.place()}")
        attempt.join(seconds - NOTICE)
    if attempt.is_alive():
        return ImportTimeout(what, seconds, attempt.place())
    if isinstance(attempt.outcome, ValueError | RuntimeError) and "thread" in str(attempt.outcome):
        return _caught(function)  # it needs the main thread: for a signal handler, an event loop
    return attempt.outcome


def _caught(function: Callable[[], Any]) -> Any:
    try:
        return function()
    except BaseException as error:  # third-party code may raise anything
        return error


class _Attempt(threading.Thread):
    """A function of a plugin's module in a thread of its own."""

    def __init__(self, module: str, function: Callable[[], Any]) -> None:
        super().__init__(name=f"plugin {module}", daemon=True)
        self.module, self.function = module, function
        self.outcome: Any = None

    def run(self) -> None:
        self.outcome = _caught(self.function)

    def place(self) -> str:
        """Return where the thread is: the plugin's own innermost line, and the package that this line imports."""
        own, line, package_loaded = self.module.split(".")[0], "", ""
        for frame in _frames(sys._current_frames().get(self.ident or 0)):
            package = str(frame.f_globals.get("__name__", "")).split(".")[0]
            if package == own:
                line, package_loaded = f"{Path(frame.f_code.co_filename).name}, line {frame.f_lineno}", ""
            elif line and not package_loaded and package not in sys.stdlib_module_names and package != "importlib":
                package_loaded = package
        if package_loaded:
            return f"loading {package_loaded} ({line})"
        return f"busy in {line}" if line else "not started"


def _frames(frame: FrameType | None) -> list[FrameType]:
    """Return a thread's stack frames, the outermost first."""
    stack: list[FrameType] = []
    while frame is not None:
        stack.append(frame)
        frame = frame.f_back
    return stack[::-1]
