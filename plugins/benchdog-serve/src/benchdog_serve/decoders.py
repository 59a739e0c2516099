"""Threads that parse and decode requests: small requests don't wait behind large ones, abandoned ones end.

Both threads are daemons: a process that stops must not wait for an image that is being decoded.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from benchdog_serve.errors import busy

LIGHT = 16_000_000
"""Highest cost, in pixels, of a job that counts as light: half a second at worst."""
LONGEST = 1024
"""Most jobs that wait."""

T = TypeVar("T")
R = TypeVar("R")


@dataclass(slots=True, eq=False)
class Job:
    """A function to call for each of some items, and the future that gets the results."""

    function: Callable[[Any], Any]
    items: Sequence[Any]
    cost: int
    future: asyncio.Future[list[Any]]
    loop: asyncio.AbstractEventLoop
    results: list[Any] = field(default_factory=list)


class Decoders:
    """A queue of jobs and two threads: one takes the oldest job, the other the cheapest of the light ones.

    Args:
        heavy: the pixels that the waiting jobs that aren't light may have together.
    """

    def __init__(self, heavy: int) -> None:
        self._heavy = heavy
        self._change = threading.Condition()
        self._waiting: list[Job] = []
        self._closed = False
        for name, take in (("any", self._oldest), ("light", self._cheapest)):
            thread = threading.Thread(target=self._work, args=(take,), name=f"benchdog-decode-{name}", daemon=True)
            thread.start()

    async def run(self, function: Callable[[T], R], items: Sequence[T], cost: int) -> list[R]:
        """Call a function for each item on one of the threads.

        When the caller is canceled, a job that waits is dropped, and a running one ends after its current item.

        Args:
            cost: the pixels to decode, or what takes as long.

        Raises:
            Rejected: 503, too many jobs wait.
        """
        loop = asyncio.get_running_loop()
        job = Job(function, items, cost, loop.create_future(), loop)
        with self._change:
            self._waiting = [each for each in self._waiting if not each.future.done()]
            heavy = sum(each.cost for each in self._waiting if each.cost > LIGHT)
            if len(self._waiting) >= LONGEST or (cost > LIGHT and heavy and heavy + cost > self._heavy):
                raise busy(f"{len(self._waiting)} requests wait to be decoded already.")
            self._waiting.append(job)
            self._change.notify_all()
        return await job.future

    def close(self) -> None:
        """Drop the jobs that wait; the threads end after their current item."""
        with self._change:
            self._closed = True
            self._waiting.clear()
            self._change.notify_all()

    # --- the threads

    def _oldest(self) -> Job | None:
        return self._waiting[0] if self._waiting else None

    def _cheapest(self) -> Job | None:
        cheapest = min(self._waiting, key=lambda job: job.cost, default=None)
        return cheapest if cheapest and cheapest.cost <= LIGHT else None

    def _work(self, take: Callable[[], Job | None]) -> None:
        while True:
            with self._change:
                job = self._change.wait_for(lambda: self._closed or take())
                if not isinstance(job, Job):
                    return
                self._waiting.remove(job)
            self._do(job)
            del job  # a thread that waits must not keep a request's body alive

    def _do(self, job: Job) -> None:
        error: BaseException | None = None
        try:
            for item in job.items:
                if self._closed or job.future.done():  # its client is gone, or its time is over
                    return
                job.results.append(job.function(item))
        except BaseException as raised:  # third-party code may call sys.exit; the thread must survive
            error = raised if isinstance(raised, Exception) else RuntimeError(f"a decoder raised {raised!r}")
        with contextlib.suppress(RuntimeError):  # the loop has ended: no request is waiting
            job.loop.call_soon_threadsafe(_resolve, job.future, job.results, error)


def _resolve(future: asyncio.Future[list[Any]], results: list[Any], error: BaseException | None) -> None:
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(results)
