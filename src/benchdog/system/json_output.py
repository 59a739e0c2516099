"""JSON output: documents of `--json`, events of a run as JSON lines; one format number for all."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from benchdog.strict_json import json_text
from benchdog.system.escapes import printable

FORMAT = 1
PREFIX = "benchdog_"
NOT_FINITE = ("nan", "inf", "-inf")
POLL_SECONDS = 0.1
"""Polling interval of a growing file, in seconds."""


def stamped(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document with the format number, first; it replaces a file's own number."""
    return {"format": FORMAT} | dict(value) | {"format": FORMAT}


def plain(value: Any) -> Any:
    """Convert a value to JSON's types; NaN and infinity become None."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set):
        return [plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, Path):
        return str(value)
    return plain(value.tolist()) if hasattr(value, "tolist") else str(value)


def exact(value: Any) -> Any:
    """Return a value for JSON in which an infinite number is {"float": "inf"}; `restored` turns it back."""
    if isinstance(value, Mapping):
        return {key: exact(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [exact(each) for each in value]
    return {"float": str(value)} if isinstance(value, float) and not math.isfinite(value) else value


def restored(value: Any) -> Any:
    """Return the value that `exact` was given, from JSON."""
    if isinstance(value, dict):
        if value.keys() == {"float"} and value["float"] in NOT_FINITE:
            return float(value["float"])
        return {key: restored(each) for key, each in value.items()}
    return [restored(each) for each in value] if isinstance(value, list) else value


def line(value: Mapping[str, Any]) -> str:
    """Format a document as one line."""
    return printable(json_text(plain(stamped(value)))) + "\n"


class Lines:
    """Writes events as JSON lines, in order, unbuffered, from any thread.

    A reader that closes its pipe, or a full disk, doesn't end the run: nothing is written from then on.
    """

    def __init__(self, sink: TextIO) -> None:
        self._sink = sink
        self._lock = threading.Lock()
        self._closed = False

    def __call__(self, event: str, facts: Mapping[str, Any]) -> None:
        """Write an event of the run; of a step or an epoch its line of the metrics log."""
        run = facts["run"]
        values: Mapping[str, Any] = facts.get("line") or {k: v for k, v in facts.items() if k != "run"}
        if event == f"{PREFIX}run_started":
            values = {name: getattr(run, name) for name in ("folder", "source", "model", "task", "epochs")}
        self.write(line({"format": FORMAT, "event": event.removeprefix(PREFIX), "run": run.name, **values}))

    def write(self, text: str) -> None:
        """Write a formatted line."""
        with self._lock:
            try:
                if not self._closed:
                    self._sink.write(text)
                    self._sink.flush()
            except (OSError, ValueError):  # ValueError: it was closed in Python
                self._closed = True


@contextmanager
def followed(path: Path, on_line: Callable[[str], None]) -> Iterator[None]:
    """Tail a file: pass the lines that other processes append to `on_line`, all of them by the end of the block."""
    path.touch()
    done = threading.Event()

    def follow() -> None:
        rest = ""
        with path.open(encoding="utf-8", newline="") as file:
            while True:
                last = done.is_set()  # checked before reading, so that everything written until then is read
                *complete, rest = (rest + file.read()).split("\n")
                for text in complete:
                    on_line(f"{text}\n")
                if last:
                    return
                done.wait(POLL_SECONDS)

    thread = threading.Thread(target=follow, name="benchdog-lines", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        path.unlink(missing_ok=True)
