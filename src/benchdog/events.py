"""Events to observers through a bounded queue, so that none of them can change, slow or break a run."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

CAPACITY = 1000
PATIENCE = 5.0
"""Seconds that closing waits for observers."""


def _own(fact: Any) -> Any:
    """Give each observer its own copy of the metrics, so that none of them changes another's, or the run's."""
    return dict(fact) if isinstance(fact, dict) else fact


class Events:
    """Calls observers one after another on a thread of its own; a full queue drops events."""

    def __init__(self, set_aside: Callable[[str, str, BaseException | None], None]) -> None:
        self._set_aside = set_aside
        self._observers: dict[str, list[tuple[str, Callable[..., Any], Sequence[str]]]] = {}
        self._queue: queue.Queue[tuple[str, Mapping[str, Any]] | None] = queue.Queue(CAPACITY)
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._faulty: set[str] = set()
        self._busy = ""
        self.dropped = 0

    def add(self, event: str, plugin: str, function: Callable[..., Any], names: Sequence[str]) -> None:
        """Register a handler and the arguments that it asks for."""
        self._observers.setdefault(event, []).append((plugin, function, names))

    def handlers(self, plugin: str) -> list[tuple[str, Callable[..., Any], Sequence[str]]]:
        """List a plugin's handlers: (event, function, the arguments that it asks for)."""
        return [
            (event, function, names)
            for event, observers in self._observers.items()
            for owner, function, names in observers
            if owner == plugin
        ]

    def emit(self, event: str, facts: Mapping[str, Any]) -> None:
        """Queue an event if anybody listens."""
        if event not in self._observers:
            return
        with self._lock:  # checkpoints are told of by the thread that writes them
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="benchdog-events", daemon=True)
                self._thread.start()
        try:
            self._queue.put_nowait((event, facts))
        except queue.Full:
            self.dropped += 1

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            event, facts = item
            for plugin, function, names in self._observers[event]:
                if plugin in self._faulty:
                    continue
                self._busy = plugin
                try:
                    function(**{name: _own(facts[name]) for name in names})
                except BaseException as error:
                    self._faulty.add(plugin)
                    text = " ".join(str(error).split())
                    self._set_aside(plugin, f"{event} raised {type(error).__name__}: {text}.", error)
                self._busy = ""

    def close(self) -> None:
        """Wait for the queue to empty; name the observer that doesn't let it."""
        if self._thread is None:
            return
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            try:
                self._queue.put(None, timeout=max(0.01, end - time.monotonic()))
                break
            except queue.Full:
                continue
        self._thread.join(max(0.0, end - time.monotonic()))
        if self._thread.is_alive():
            self._set_aside(self._busy, f"still busy with an event after {PATIENCE:.0f} s; left behind.", None)
        elif self.dropped:
            self._set_aside("events", f"{self.dropped} events were dropped: an observer is too slow.", None)
        self._thread = None
