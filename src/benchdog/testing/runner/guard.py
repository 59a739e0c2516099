"""No network in a check's process, and a note of who asked for it, or for a heavy module."""

from __future__ import annotations

import socket
import sys
import sysconfig
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

HERE = ("localhost", "127.0.0.1", "::1", "", None)
tried: list[tuple[str, str]] = []
"""(address, place in the code) of each attempt."""


class NoNetwork(OSError):
    """The kit lets nothing out."""


def place() -> str:
    """Name the innermost line of the stack that is neither Python's own nor the kit's: "net.py, line 3"."""
    own = {Path(sysconfig.get_path("stdlib")).resolve(), Path(__file__).resolve().parents[1]}
    for frame in reversed(traceback.extract_stack()):
        file = Path(frame.filename)
        if file.is_file() and not any(file.resolve().is_relative_to(each) and _plain(file, each) for each in own):
            return f"{file}, line {frame.lineno}"
    return ""


def _plain(file: Path, library: Path) -> bool:
    return "site-packages" not in file.resolve().relative_to(library).parts


def block() -> None:
    """Let sockets reach this machine alone."""

    def refuse(host: Any) -> None:
        if host not in HERE:
            tried.append((str(host), place()))
            raise NoNetwork(f"{host}: the kit lets nothing use the network.")

    connect, look_up = socket.socket.connect, socket.getaddrinfo

    def guarded(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            refuse(address[0])
        connect(self, address)

    def guarded_look_up(host: Any, *args: Any, **more: Any) -> Any:
        refuse(host.decode() if isinstance(host, bytes) else host)
        return look_up(host, *args, **more)

    socket.socket.connect = guarded  # type: ignore[method-assign, assignment]
    socket.getaddrinfo = guarded_look_up


class Watch:
    """Notes which line of third-party code first asked for each of some modules.

    Attributes:
        withheld: whether torch is made to look as if it weren't installed.
    """

    withheld = False

    def __init__(self, names: Sequence[str]) -> None:
        self.names = frozenset(names)
        self.asked: dict[str, str] = {}
        sys.meta_path.insert(0, self)

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> None:
        """Find nothing, and let others look."""
        if name in self.names:
            self.asked.setdefault(name, place())
        if self.withheld and name == "torch":
            raise ModuleNotFoundError("No module named 'torch' (the kit keeps it away)", name="torch")

    def invalidate_caches(self) -> None:
        """Keep nothing."""
