"""Checkpoints: written by a background thread; the last few and the best are kept, damaged ones skipped."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchdog.errors import BadData, BenchdogError, Failed
from benchdog.runs import state
from benchdog.system.format_versions import OtherFormat

BEST = "best.safetensors"


def _nothing(path: Path) -> None:
    """Ignore the event."""


class Checkpoints:
    """Writes snapshots one at a time, without the loop waiting for the disk."""

    def __init__(self, folder: Path, keep: int) -> None:
        self.folder, self.keep = folder, keep
        self._thread: threading.Thread | None = None
        self._error: Exception | None = None

    def write(self, step: int, tree: Any, best: Any = None, done: Callable[[Path], None] = _nothing) -> None:
        """Start to write a snapshot (and the best one first), after the one before is on the disk.

        `done` is called, by the thread that writes, when the snapshot is on the disk too.
        """
        self.wait()
        path = self.folder / f"step-{step:09d}.safetensors"
        work = threading.Thread(target=self._work, args=(path, tree, best, done), name="benchdog-checkpoint")
        self._thread = work
        work.start()

    def _work(self, path: Path, tree: Any, best: Any, done: Callable[[Path], None]) -> None:
        try:
            if best is not None:
                state.write(self.folder / BEST, best)
            state.write(path, tree)
            done(path)
            for old in self.all()[: -self.keep]:
                with suppress(OSError):
                    old.unlink()
        except Exception as error:  # raised again by the thread that waits
            if not isinstance(error, BenchdogError):
                error = Failed(f"{path} can't be written: {type(error).__name__}: {error}.")
            self._error = error

    def wait(self) -> None:
        """Wait for the write that is under way; raise what went wrong with it."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def all(self) -> list[Path]:
        """List the checkpoints, the newest last."""
        return sorted(self.folder.glob("step-*.safetensors"))

    def newest(self) -> tuple[Any, list[str]]:
        """Return the newest complete checkpoint or None, and a message for each one that was skipped."""
        passed: list[str] = []
        for path in reversed(self.all()):
            try:
                return state.read(path), passed
            except OtherFormat:
                raise
            except BadData as error:
                passed.append(error.message)
                with suppress(OSError):  # else it would count among those that are kept
                    path.replace(path.with_name(f"{path.name}.damaged"))
        return None, passed

    def best(self) -> Any:
        """Read the best epoch's model state; None when there is none."""
        path = self.folder / BEST
        try:
            return state.read(path) if path.is_file() else None
        except OtherFormat:
            raise
        except BadData as error:
            again = f"benchdog train {self.folder.parent / 'recipe.toml'}"
            raise BadData(error.message, f"The best epoch is lost with it. Train again: {again}") from None
