"""A run's metrics log, read while it grows: for observers that must not lose a line when events are dropped."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class MetricsLog:
    """The lines of a run's `metrics.jsonl`, each given once.

    An event says that there may be more; what the lines hold is in docs/reference/formats.md. Whoever reads them here
    in place of an event's arguments has every line: after a kill, with several ranks, when the queue was full.
    """

    def __init__(self, run: str | Path) -> None:
        self._path = Path(run) / "metrics.jsonl"
        self._at = 0

    def new(self) -> Iterator[dict[str, Any]]:
        """Yield the lines that were added since; half a line at the end waits for its other half."""
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
                    yield value
