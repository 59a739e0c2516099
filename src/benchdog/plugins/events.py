"""Event dispatch to observers, each through a bounded queue: none can change, slow down or break a run or another."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from benchdog.plugins.global_state import GlobalState, changed

CAPACITY = 1000
"""Most events in a queue; further steps are dropped until the observer has caught up."""
RESERVE = 1000
"""More events of other kinds than steps: an epoch isn't dropped because many steps are queued."""
PATIENCE = 5.0
"""Seconds that closing waits for observers; BENCHDOG_PATIENCE overrides it."""
STEP = "benchdog_step_ended"
BURST = 0.1
"""Seconds between looks at the queue: waking the thread for each event would slow down the training loop (GIL)."""
NEVER_DROPPED = frozenset(
    {"benchdog_run_started", "benchdog_run_stopped", "benchdog_run_failed", "benchdog_run_ended"}
)
"""A run has only a few of them, and an observer that misses one shows a run that never ends."""
GAPS = "The run is complete; what it shows may lack them, unless it reads the metrics log."


LEAVE = "It gets no more events: an observer may read, and write its own files, but must leave the process as it is."
SELDOM = 1.0
"""Seconds between events of a kind around which the process's state is compared, which takes half a millisecond."""


class ChangedState(Exception):
    """An observer changed the state of the whole process."""


class ReportFault(Protocol):
    """Report a plugin's fault: its name, the fault, the exception if there is one, how to fix it."""

    def __call__(self, plugin: str, fault: str, error: BaseException | None, remedy: str = ..., /) -> None: ...


def patience() -> float:
    """Return the seconds that closing waits."""
    try:
        return max(0.0, float(os.environ["BENCHDOG_PATIENCE"]))
    except (KeyError, ValueError):
        return PATIENCE


def _copied(fact: Any) -> Any:
    """Return a copy of metrics, so that an observer can't change another's or the run's."""
    return dict(fact) if isinstance(fact, dict) else fact


class ObserverQueue:
    """The handlers of one plugin, the queue of their events, and the thread that calls them in order."""

    def __init__(self, plugin: str, report: ReportFault) -> None:
        self.plugin, self.dropped = plugin, 0
        self._report = report
        self._handlers: dict[str, list[tuple[Callable[..., Any], Sequence[str]]]] = {}
        self._queue: deque[tuple[str, Mapping[str, Any]] | None] = deque()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._disabled = self._hurry = False
        self._watched_at = 0.0
        self._watched_events: set[str] = set()
        self._busy = ""

    def add(self, event: str, function: Callable[..., Any], names: Sequence[str]) -> None:
        """Register a handler and the names of its parameters."""
        self._handlers.setdefault(event, []).append((function, names))

    def handlers(self) -> list[tuple[str, Callable[..., Any], Sequence[str]]]:
        """Return the handlers: (event, function, names of its parameters)."""
        return [(event, *each) for event, handlers in self._handlers.items() for each in handlers]

    def put(self, event: str, facts: Mapping[str, Any]) -> None:
        """Queue an event, or drop it. Takes about a microsecond, whatever the observer does."""
        if self._disabled:
            return
        waiting = len(self._queue)
        if waiting >= CAPACITY and (event == STEP or (waiting >= CAPACITY + RESERVE and event not in NEVER_DROPPED)):
            self.dropped += 1
            return
        self._queue.append((event, facts))
        if self._thread is None:
            self._start()

    def _start(self) -> None:
        with self._lock:  # the thread that writes checkpoints emits events, too
            if self._thread is None:
                name = f"benchdog-events-{self.plugin}"
                self._thread = threading.Thread(target=self._work, name=name, daemon=True)
                self._thread.start()

    def _work(self) -> None:
        while (item := self._next()) is not None and not self._disabled:
            event, facts = item
            if self._hurry and event == STEP:
                self.dropped += 1
                continue
            self._busy = event
            try:
                with self._watched(event):
                    for function, names in self._handlers[event]:
                        function(**{name: _copied(facts[name]) for name in names})
            except ChangedState as changed:
                self._disabled = True
                self._report(self.plugin, f"{event} {changed}.", None, LEAVE)
                return
            except BaseException as error:
                if not self._disabled:
                    self._disabled = True
                    text = " ".join(str(error).split())
                    self._report(self.plugin, f"{event} raised {type(error).__name__}: {text.rstrip('.')}.", error)
                return

    @contextmanager
    def _watched(self, event: str) -> Iterator[None]:
        """Undo what handlers do to the whole process; the first event of a kind is watched, then one in a second.

        Raises:
            ChangedState: they changed something.
        """
        now = time.monotonic()
        if event in self._watched_events and now - self._watched_at < SELDOM:
            yield
            return
        self._watched_at = now
        self._watched_events.add(event)
        state = GlobalState(shared=True)
        yield
        if self._disabled:  # abandoned: the process has moved on, and its changes since aren't this observer's
            return
        restored, left = state.undo()
        if restored or left:
            raise ChangedState(changed([*restored, *left]))

    def _next(self) -> tuple[str, Mapping[str, Any]] | None:
        """Wait for the next event; None is the end."""
        while not self._queue:
            self._wake.wait(BURST)
            self._wake.clear()
        return self._queue.popleft()

    @property
    def working(self) -> bool:
        """Whether its thread still runs."""
        return self._thread is not None and self._thread.is_alive()

    def wait(self, until: float) -> None:
        """Wait for its thread until a time of the monotonic clock."""
        if self._thread is not None:
            self._thread.join(max(0.0, until - time.monotonic()))

    def finish(self) -> None:
        """Let its thread end after the queued events."""
        if self._thread is not None:
            self._queue.append(None)
            self._wake.set()

    def hurry(self) -> None:
        """Skip queued steps, so that the events after them are handled in time."""
        self._hurry = True

    def leave(self) -> None:
        """Release its thread; one that is still busy is abandoned and gets no more events."""
        if self.working:
            self._disabled = True
            self._report(self.plugin, f"still busy with {self._busy} after {patience():.0f} s; abandoned.", None)
        elif self.dropped and not self._disabled:
            self._report(self.plugin, f"too slow: {self.dropped} events were dropped.", None, GAPS)
        self._thread, self._hurry = None, False


class Events:
    """Dispatcher of events to the observers with a handler; never blocks, never raises."""

    def __init__(self, report: ReportFault) -> None:
        self._report = report
        self._queues: dict[str, ObserverQueue] = {}
        self._handling: dict[str, list[ObserverQueue]] = {}

    def add(self, event: str, plugin: str, function: Callable[..., Any], names: Sequence[str]) -> None:
        """Register a plugin's handler and the names of its parameters."""
        queue = self._queues.setdefault(plugin, ObserverQueue(plugin, self._report))
        queue.add(event, function, names)
        handling = self._handling.setdefault(event, [])
        if queue not in handling:
            handling.append(queue)

    def remove(self, plugin: str) -> None:
        """Forget a plugin's handlers."""
        queue = self._queues.pop(plugin, None)
        for handling in self._handling.values():
            if queue in handling:
                handling.remove(queue)

    def emit(self, event: str, facts: Mapping[str, Any]) -> None:
        """Queue an event for every plugin that handles it."""
        for queue in self._handling.get(event, ()):
            queue.put(event, facts)

    def handlers(self, plugin: str) -> list[tuple[str, Callable[..., Any], Sequence[str]]]:
        """Return a plugin's handlers: (event, function, names of their parameters)."""
        return self._queues[plugin].handlers() if plugin in self._queues else []

    @property
    def dropped(self) -> int:
        """Number of events dropped because a queue was full, over all observers."""
        return sum(queue.dropped for queue in self._queues.values())

    def close(self) -> None:
        """Wait for the queues to empty, skipping steps after half the time; report the plugins that aren't done."""
        now, longest = time.monotonic(), patience()
        queues = list(self._queues.values())
        for queue in queues:
            queue.finish()
        for queue in queues:
            queue.wait(now + longest / 2)
        for queue in queues:
            if queue.working:
                queue.hurry()
        for queue in queues:
            queue.wait(now + longest)
        for queue in queues:
            queue.leave()
