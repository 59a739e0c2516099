"""What programs read: the JSON documents of `--json`, and the events of a run as lines; one format number for all."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

FORMAT = 1
PREFIX = "benchdog_"
LOOK = 0.1
"""Seconds between two looks at a file that grows."""


def stamped(value: Mapping[str, Any]) -> dict[str, Any]:
    """Give a document with the number of its format, which stands first; a file's own number gives way to it."""
    return {"format": FORMAT} | dict(value) | {"format": FORMAT}


def plain(value: Any) -> Any:
    """Give a value in JSON's types; what is not a number becomes null."""
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
    return value.tolist() if hasattr(value, "tolist") else str(value)


def line(value: Mapping[str, Any]) -> str:
    """Write a document in one line."""
    return json.dumps(plain(stamped(value)), ensure_ascii=False) + "\n"


class Lines:
    """Writes events as JSON lines: each of them, in their order, at once, from whichever thread.

    A reader that went away is no reason to end a run: nothing is written from then on.
    """

    def __init__(self, sink: TextIO) -> None:
        self._sink = sink
        self._lock = threading.Lock()
        self._gone = False

    def __call__(self, event: str, facts: Mapping[str, Any]) -> None:
        """Write an event of the run; of a step or an epoch what its line in the metrics log says."""
        run = facts["run"]
        told: Mapping[str, Any] = facts.get("line") or {k: v for k, v in facts.items() if k != "run"}
        if event == f"{PREFIX}run_started":
            told = {name: getattr(run, name) for name in ("folder", "source", "model", "task", "epochs")}
        self.write(line({"format": FORMAT, "event": event.removeprefix(PREFIX), "run": run.name, **told}))

    def write(self, text: str) -> None:
        """Write a line that is ready."""
        with self._lock:
            try:
                if not self._gone:
                    self._sink.write(text)
                    self._sink.flush()
            except BrokenPipeError:
                self._gone = True


@contextmanager
def followed(path: Path, give: Callable[[str], None]) -> Iterator[None]:
    """Pass on the lines that other processes add to a file; at the end of the block all have been passed on."""
    path.touch()
    done = threading.Event()

    def follow() -> None:
        rest = ""
        with path.open(encoding="utf-8", newline="") as file:
            while True:
                last = done.is_set()  # asked before reading: what was written until then is read
                *whole, rest = (rest + file.read()).split("\n")
                for text in whole:
                    give(f"{text}\n")
                if last:
                    return
                done.wait(LOOK)

    thread = threading.Thread(target=follow, name="benchdog-lines", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        path.unlink(missing_ok=True)
