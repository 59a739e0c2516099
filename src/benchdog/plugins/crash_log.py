"""What is remembered of plugins from one start to the next: which were loaded, and which ended the process.

`plugins.json` in the state folder has an entry per plugin's file. While plugins are loaded, a file in `loading/`
names the one whose code is running: a process that ends then leaves it behind, and the next start knows whose fault
it was.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from benchdog.system import paths

TWICE = 2
"""Starts that a plugin may end though it survives an attempt in a process of its own."""


class CrashLog:
    """The state folder's memory of plugins, by the file of their module. Nothing here ever raises OSError."""

    def __init__(self) -> None:
        self._folder = paths.state_dir()
        self._entries: dict[str, dict[str, Any]] = {}
        self._changed = False
        with suppress(OSError, ValueError):
            entries = json.loads((self._folder / "plugins.json").read_text(encoding="utf-8"))
            if isinstance(entries, dict):
                self._entries = {file: entry for file, entry in entries.items() if isinstance(entry, dict)}

    def known(self, file: str) -> bool:
        """Whether the plugin was loaded before, is unchanged since, and ended no process."""
        entry = self._entry(file)
        return entry is not None and not entry.get("ended") and not entry.get("suspect")

    def ended(self, file: str) -> str:
        """Return how the plugin, unchanged since, ended a process; "" if it didn't."""
        entry = self._entry(file)
        return str(entry.get("ended") or "") if entry is not None else ""

    def suspicions(self, file: str) -> int:
        """Return how many starts ended while the plugin, unchanged since, was loaded."""
        entry = self._entry(file)
        count = entry.get("suspect") if entry is not None else 0
        return count if isinstance(count, int) else 0

    def record(self, file: str, *, ended: str = "", suspect: int = 0) -> None:
        """Remember how a plugin's loading went."""
        entry = {"print": _print(file), "ended": ended, "suspect": suspect}
        if self._entries.get(file) != entry:
            self._entries[file], self._changed = entry, True

    def save(self) -> None:
        """Write what has changed; entries of files that are gone are dropped."""
        if not self._changed:
            return
        kept = {file: entry for file, entry in self._entries.items() if os.path.exists(file)}  # noqa: PTH110
        aside = self._folder / f".plugins.{os.getpid()}.tmp"
        with suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            aside.write_text(json.dumps(kept, indent=1), encoding="utf-8")
            aside.replace(self._folder / "plugins.json")
            self._changed = False

    def collect(self) -> None:
        """Note the plugins that were being loaded when a process ended."""
        with suppress(OSError), os.scandir(self._folder / "loading") as left:
            for file in [Path(entry.path) for entry in left]:
                if culprit := _abandoned(file):
                    self.record(culprit, suspect=self.suspicions(culprit) + 1)

    @contextmanager
    def loading(self) -> Iterator[Callable[[str], None]]:
        """Yield a function that notes the file of the plugin whose code runs next; the note is gone afterwards."""
        place = self._folder / "loading" / f"{os.getpid()}-{time.monotonic_ns()}"
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(place, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError:  # nothing can be remembered here
            yield lambda file: None
            return
        try:
            _lock(descriptor)
            yield lambda file: _append(descriptor, file)
        finally:
            os.close(descriptor)
            with suppress(OSError):
                place.unlink()

    def _entry(self, file: str) -> dict[str, Any] | None:
        entry = self._entries.get(file)
        return entry if entry is not None and entry.get("print") == _print(file) else None


def _print(file: str) -> str:
    """Return what changes when a plugin is updated: its file's size and time, and this Python."""
    try:
        found = os.stat(file)  # noqa: PTH116 -- it is called for each plugin at each start
    except OSError:
        return ""
    return f"{found.st_size} {found.st_mtime_ns} {sys.hexversion:x}"


def _append(descriptor: int, file: str) -> None:
    with suppress(OSError):
        os.write(descriptor, os.fsencode(file) + b"\n")


def _lock(descriptor: int) -> bool:
    """Take the lock that says that a process is alive. Windows needs none: it removes no file that is open."""
    if sys.platform == "win32":
        return True
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _abandoned(file: Path) -> str:
    """Remove a file whose process has ended and return what it noted last; "" for that of a live process."""
    descriptor = os.open(file, os.O_RDWR)
    try:
        if not _lock(descriptor):
            return ""
        noted = os.read(descriptor, 1 << 20).decode("utf-8", "surrogateescape").splitlines()
    finally:
        os.close(descriptor)
    with suppress(OSError):
        file.unlink()
        return noted[-1] if noted else ""
    return ""
