"""Calls that end the process at once, such as `os._exit(0)`: while code of plugins runs, they raise instead.

Else a plugin could end any command, with exit code 0, before it has done anything.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

NAMES = ("_exit", "abort", "execv", "execve")
"""Functions of `os`; the others that replace the process call one of these."""
_original: dict[str, Callable[..., Any]] = {name: getattr(os, name) for name in NAMES}
_guarded: list[int] = []
"""The process id of each `guarded` block that is entered: a forked child may end as it likes."""


class ProcessEnded(BaseException):
    """Code tried to end the process. Not an Exception, so that code which handles those doesn't go on."""


def end(code: int) -> NoReturn:
    """End the process at once: Benchdog's own way."""
    _original["_exit"](code)
    raise AssertionError


@contextmanager
def guarded() -> Iterator[None]:
    """Let the functions raise ProcessEnded inside the block, in this process."""
    guard()
    try:
        yield
    finally:
        _guarded.pop()
        if not _guarded:
            for name, function in _original.items():
                setattr(os, name, function)


def guard() -> None:
    """Let the functions raise ProcessEnded from now on, also in functions that run when the interpreter exits."""
    _guarded.append(os.getpid())
    for name in NAMES:
        setattr(os, name, _raising(name))


def _raising(name: str) -> Callable[..., Any]:
    def call(*arguments: Any) -> None:
        if not _guarded or os.getpid() != _guarded[-1]:  # kept by code that imported it while it was guarded; a fork
            _original[name](*arguments)
        shown = ", ".join(map(repr, arguments)) if name == "_exit" else "..." if arguments else ""
        raise ProcessEnded(f"os.{name}({shown}) would have ended the command")

    return call
