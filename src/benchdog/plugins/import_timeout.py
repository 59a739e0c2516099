"""Time limits for plugins' imports and hooks: a plugin that hangs is left out, and every command still works.

An import can't be interrupted safely, so each runs in a daemon thread of its own; one that exceeds its limit is
abandoned there.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from functools import partial
from importlib import import_module
from itertools import islice
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any, cast

from benchdog.errors import BadUsage
from benchdog.plugins.loading import load_file
from benchdog.system import exits, terminal
from benchdog.system.signals import Terminated

LISTING, WORKING = 1.0, 10.0
"""Seconds that commands wait for a plugin: those that list plugins, and all others."""
LEFT_OUT = "BENCHDOG_LEFT_OUT"
"""Environment variable: names of plugins that child processes must not wait for again."""
NOTICE = 1.0
"""Seconds of waiting after which stderr says for which plugin."""


BUSY = "busy in"
MOST = 1000
"""Components that a plugin may offer of one kind: a hook that never ends would fill the memory."""


class InterruptRaised(RuntimeError):
    """A plugin raised KeyboardInterrupt itself."""


class ImportTimeout(TimeoutError):
    """A plugin's code that exceeded its time limit; its text says what it was to do, the limit, where it was then."""


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


def load(name: str, seconds: float | None, *, quiet: bool = False) -> ModuleType:
    """Import a module, or a file, and return it; raise what it raises, or ImportTimeout when it exceeds the limit.

    Without a limit it is imported on this thread.
    """
    function = partial(load_file, Path(name)) if name.endswith(".py") else partial(import_module, name)
    return cast(ModuleType, _result(name, "to import", function, seconds, quiet))


def offered(
    hook: Callable[[], Iterable[Any]], module: str, seconds: float | None, *, quiet: bool = False
) -> list[Any]:
    """Call a hook of a plugin's module and return its items; raise what it raises, or ImportTimeout.

    Raises:
        ValueError: there are more than `MOST`.
    """

    def items() -> list[Any]:
        result = hook()
        if isinstance(result, str) or not isinstance(result, Iterable):
            what = "None" if result is None else f"a {type(result).__name__}"
            raise TypeError(f"returns {what}, not a list of descriptors")
        found = list(islice(result, MOST + 1))
        if len(found) > MOST:
            raise ValueError(f"offers more than {MOST} components")
        return found

    return cast(list[Any], _result(module, "to return its components", items, seconds, quiet))


def left_behind() -> bool:
    """Whether a thread of a plugin that exceeded its limit still runs."""
    return any(isinstance(thread, _Attempt) for thread in threading.enumerate())


def _result(module: str, what: str, function: Callable[[], Any], seconds: float | None, quiet: bool) -> Any:
    """Return a function's result; raise what it raises, or ImportTimeout."""
    if seconds is None:
        return here(function)
    attempt = _Attempt(module, function)
    attempt.start()
    attempt.join(min(seconds, NOTICE))
    if attempt.is_alive() and seconds > NOTICE:
        if not quiet:
            terminal.show(f"benchdog: waiting for the plugin in {module}: {attempt.place()}")
        attempt.join(seconds - NOTICE)
    if attempt.is_alive():
        place = attempt.place()
        if place.startswith(BUSY):  # in the plugin's own lines; a library must not be left half imported
            attempt.interrupt()
        raise ImportTimeout(f"takes longer than {seconds:g} s {what}: {place}")
    error = attempt.error
    if isinstance(error, ValueError | RuntimeError) and "thread" in str(error):
        return here(function)  # it needs the main thread: for a signal handler, an event loop
    if error is not None:
        raise error
    return attempt.result


def here(function: Callable[[], Any]) -> Any:
    """Call a plugin's function on this thread and return its result; raise what it raises.

    A KeyboardInterrupt that is not the user's becomes an InterruptRaised.
    """
    process, arrived = os.getpid(), []
    before = None
    if threading.current_thread() is threading.main_thread():
        before = signal.getsignal(signal.SIGINT)

    def notice(number: int, frame: FrameType | None) -> Any:
        arrived.append(number)
        return before(number, frame) if callable(before) else None

    try:
        if callable(before):
            signal.signal(signal.SIGINT, notice)
        return function()
    except Terminated:
        raise
    except KeyboardInterrupt as error:
        if arrived:
            raise
        raise InterruptRaised("KeyboardInterrupt, though nobody pressed Ctrl-C") from error
    finally:
        if os.getpid() != process:  # it forked: there mustn't be two commands from now on
            exits.end(0)
        if callable(before) and signal.getsignal(signal.SIGINT) is notice:
            signal.signal(signal.SIGINT, before)


class _Attempt(threading.Thread):
    """A function of a plugin's module in a thread of its own."""

    def __init__(self, module: str, function: Callable[[], Any]) -> None:
        super().__init__(name=f"plugin {module}", daemon=True)
        self.module, self.function = module, function
        self.result: Any = None
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self.result = here(self.function)
        except BaseException as error:  # third-party code may raise anything
            self.error = error

    def interrupt(self) -> None:
        """Raise SystemExit in the thread: an endless loop would slow down everything else."""
        import ctypes

        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self.ident or 0), ctypes.py_object(SystemExit))

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
        return f"{BUSY} {line}" if line else "not started"


def _frames(frame: FrameType | None) -> list[FrameType]:
    """Return a thread's stack frames, the outermost first."""
    stack: list[FrameType] = []
    while frame is not None:
        stack.append(frame)
        frame = frame.f_back
    return stack[::-1]
