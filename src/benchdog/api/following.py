"""Tail of a run's metrics log, for observers that must not lose a line when events are dropped."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class MetricsLog:
    """The lines of a run's `metrics.jsonl`, each returned once; docs/reference/formats.md lists their keys.

    What is null in the file, a number that isn't finite, is NaN here.

    Read it in an event handler instead of the event's arguments to miss no line: after a kill, with several ranks,
    or when the queue of events was full.
    """

    def __init__(self, run: str | Path) -> None:
        self._path = Path(run) / "metrics.jsonl"
        self._at = 0

    def new(self) -> Iterator[dict[str, Any]]:
        """Yield the lines added since the last call; an incomplete line at the end is left for the next one."""
        try:
            file = self._path.open("rb")
        except FileNotFoundError:
            return
        with file:
            file.seek(self._at)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                self._at += len(line)
                value = json.loads(line)
                if isinstance(value, dict):
                    yield {key: math.nan if each is None else each for key, each in value.items()}
