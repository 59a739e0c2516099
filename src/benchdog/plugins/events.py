"""Events to observers, each through a bounded queue of its own: none can change, slow or break a run, nor another."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

CAPACITY = 1000
"""Steps that wait for an observer; further ones are dropped until it has caught up."""
RESERVE = 1000
"""Room beyond that for all that is rarer than steps: an epoch isn't lost because many steps wait."""
PATIENCE = 5.0
"""Seconds that closing waits for observers, unless BENCHDOG_PATIENCE says otherwise."""
STEP = "benchdog_step_ended"
BURST = 0.1
"""Seconds that events may wait for others: waking a thread for each would make the loop wait for its turn."""
NEVER_DROPPED = frozenset(
    {"benchdog_run_started", "benchdog_run_stopped", "benchdog_run_failed", "benchdog_run_ended"}
)
"""A run has only a handful of them, and an observer that misses one shows a run that never ends."""
GAPS = "The run is whole; what it shows may lack them, unless it reads the run's log."


class DisabledError(Protocol):
    """Tell of a plugin's fault."""

    def __call__(self, plugin: str, fault: str, error: BaseException | None, remedy: str = ..., /) -> None: ...


def patience() -> float:
    """Give the seconds that closing waits."""
    try:
        return max(0.0, float(os.environ["BENCHDOG_PATIENCE"]))
    except (KeyError, ValueError):
        return PATIENCE


def _own(fact: Any) -> Any:
    """Give each observer its own copy of the metrics, so that none of them changes another's, or the run's."""
    return dict(fact) if isinstance(fact, dict) else fact


class ObserverQueue:
    """One plugin's handlers, what waits for them, and the thread that calls them one after another."""

    def __init__(self, plugin: str, set_aside: DisabledError) -> None:
        self.plugin, self.dropped = plugin, 0
        self._set_aside = set_aside
        self._handlers: dict[str, list[tuple[Callable[..., Any], Sequence[str]]]] = {}
        self._queue: deque[tuple[str, Mapping[str, Any]] | None] = deque()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._deaf = self._hurry = False
        self._busy = ""

    def add(self, event: str, function: Callable[..., Any], names: Sequence[str]) -> None:
        """Register a handler and the arguments that it asks for."""
        self._handlers.setdefault(event, []).append((function, names))

    def handlers(self) -> list[tuple[str, Callable[..., Any], Sequence[str]]]:
        """List them: (event, function, the arguments that it asks for)."""
        return [(event, *each) for event, handlers in self._handlers.items() for each in handlers]

    def put(self, event: str, facts: Mapping[str, Any]) -> None:
        """Queue an event, or drop it: costs about a microsecond whatever the observer does."""
        if self._deaf:
            return
        waiting = len(self._queue)
        if waiting >= CAPACITY and (event == STEP or (waiting >= CAPACITY + RESERVE and event not in NEVER_DROPPED)):
            self.dropped += 1
            return
        self._queue.append((event, facts))
        if self._thread is None:
            self._start()

    def _start(self) -> None:
        with self._lock:  # checkpoints are told of by the thread that writes them
            if self._thread is None:
                name = f"benchdog-events-{self.plugin}"
                self._thread = threading.Thread(target=self._work, name=name, daemon=True)
                self._thread.start()

    def _work(self) -> None:
        while (item := self._next()) is not None and not self._deaf:
            event, facts = item
            if self._hurry and event == STEP:
                self.dropped += 1
                continue
            self._busy = event
            try:
                for function, names in self._handlers[event]:
                    function(**{name: _own(facts[name]) for name in names})
            except BaseException as error:
                if not self._deaf:
                    self._deaf = True
                    text = " ".join(str(error).split())
                    self._set_aside(self.plugin, f"{event} raised {type(error).__name__}: {text.rstrip('.')}.", error)
                return

    def _next(self) -> tuple[str, Mapping[str, Any]] | None:
        """Wait for what comes next; None is the end."""
        while not self._queue:
            self._wake.wait(BURST)
            self._wake.clear()
        return self._queue.popleft()

    @property
    def working(self) -> bool:
        """Whether its thread has something to do yet."""
        return self._thread is not None and self._thread.is_alive()

    def wait(self, until: float) -> None:
        """Wait for its thread until a moment of the monotonic clock."""
        if self._thread is not None:
            self._thread.join(max(0.0, until - time.monotonic()))

    def finish(self) -> None:
        """Let its thread end when all is told."""
        if self._thread is not None:
            self._queue.append(None)
            self._wake.set()

    def hurry(self) -> None:
        """Pass over the steps that wait, so that what comes after them is heard."""
        self._hurry = True

    def leave(self) -> None:
        """Let its thread go; one that is busy still is left behind, and hears no more."""
        if self.working:
            self._deaf = True
            self._set_aside(self.plugin, f"still busy with {self._busy} after {patience():.0f} s; left behind.", None)
        elif self.dropped and not self._deaf:
            self._set_aside(self.plugin, f"too slow: {self.dropped} events were dropped.", None, GAPS)
        self._thread, self._hurry = None, False


class Events:
    """Hands events to the observers that asked for them; never waits, never raises."""

    def __init__(self, set_aside: DisabledError) -> None:
        self._set_aside = set_aside
        self._ears: dict[str, ObserverQueue] = {}
        self._listening: dict[str, list[ObserverQueue]] = {}

    def add(self, event: str, plugin: str, function: Callable[..., Any], names: Sequence[str]) -> None:
        """Register a plugin's handler and the arguments that it asks for."""
        ear = self._ears.setdefault(plugin, ObserverQueue(plugin, self._set_aside))
        ear.add(event, function, names)
        listening = self._listening.setdefault(event, [])
        if ear not in listening:
            listening.append(ear)

    def emit(self, event: str, facts: Mapping[str, Any]) -> None:
        """Queue an event for everybody who listens."""
        for ear in self._listening.get(event, ()):
            ear.put(event, facts)

    def handlers(self, plugin: str) -> list[tuple[str, Callable[..., Any], Sequence[str]]]:
        """List a plugin's handlers: (event, function, the arguments that it asks for)."""
        return self._ears[plugin].handlers() if plugin in self._ears else []

    @property
    def dropped(self) -> int:
        """How many events found no room, over all observers."""
        return sum(ear.dropped for ear in self._ears.values())

    def close(self) -> None:
        """Wait for the queues to empty; in the second half of the patience, pass over steps; name who isn't done."""
        now, longest = time.monotonic(), patience()
        ears = list(self._ears.values())
        _each(ears, ObserverQueue.finish)
        for ear in ears:
            ear.wait(now + longest / 2)
        _each((ear for ear in ears if ear.working), ObserverQueue.hurry)
        for ear in ears:
            ear.wait(now + longest)
        _each(ears, ObserverQueue.leave)


def _each(ears: Iterable[ObserverQueue], do: Callable[[ObserverQueue], None]) -> None:
    for ear in ears:
        do(ear)
