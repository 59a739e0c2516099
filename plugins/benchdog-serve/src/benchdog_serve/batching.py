"""Micro-batching: samples that are waiting together are answered in one call, by one thread.

While the model works, what arrives queues up and makes the next batch; so a busy server batches without
a timer. An idle one starts at once. The only wait, of `patience` seconds at most, is for requests whose
bodies are here and are being decoded at that moment.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import numpy as np

from benchdog.api import Answer
from benchdog.errors import BenchdogError
from benchdog_serve.faults import busy, rejected

Sample = tuple[np.ndarray[Any, np.dtype[Any]], ...]
"""A decoded sample: an array per field, without a batch axis."""
Answering = Callable[[Sequence[Sample], Sequence[str]], list[Answer]]


@dataclass(slots=True, eq=False)
class Job:
    """The samples of one request, and where its answers go."""

    samples: Sequence[Sample]
    ids: Sequence[str]
    future: asyncio.Future[list[Answer]]
    loop: asyncio.AbstractEventLoop
    answers: list[Answer | None] = field(default_factory=list)
    left: int = 0
    over: bool = False


class Batcher:
    """A queue of samples and the thread that answers them.

    Args:
        answer: gives the answers for decoded samples, in their order; called from one thread only.
        largest: most samples of one call.
        waiting: most samples that may wait or be worked on; one request is always let in.
        patience: longest wait, in seconds, for requests that are being decoded.
    """

    def __init__(self, answer: Answering, *, largest: int, waiting: int, patience: float = 0.002) -> None:
        self._answer = answer
        self._largest = largest
        self._waiting = waiting
        self._patience = patience
        self._change = threading.Condition()
        self._queue: deque[tuple[Job, int]] = deque()
        self._coming = 0
        self._closed = False
        self.load = 0
        self.calls = 0
        # A daemon: a model that hangs mustn't keep the process from ending.
        self._thread = threading.Thread(target=self._work, name="benchdog-model", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Reject a request early, before its body is read, when the queue is full."""
        if self._closed:
            raise busy("The server is stopping.")
        if self.load >= self._waiting:
            raise busy(f"{self.load} samples are waiting already.")

    def visit(self) -> Visit:
        """Announce a request whose samples will be here in a moment."""
        return Visit(self)

    def close(self, seconds: float = 5.0) -> None:
        """Answer what is queued and end the thread."""
        with self._change:
            self._closed = True
            self._change.notify_all()
        self._thread.join(seconds)

    # --- called by visits, on the event loop's thread

    def _enter(self) -> None:
        with self._change:
            self._coming += 1

    def _leave(self) -> None:
        with self._change:
            self._coming -= 1
            self._change.notify_all()

    def _add(self, job: Job) -> None:
        with self._change:
            if self._closed:
                raise busy("The server is stopping.")
            if self.load and self.load + len(job.samples) > self._waiting:
                raise busy(f"{self.load} samples are waiting already.")
            self.load += len(job.samples)
            self._queue.extend((job, place) for place in range(len(job.samples)))

    # --- the thread

    def _work(self) -> None:
        while True:
            with self._change:
                self._change.wait_for(lambda: self._queue or self._closed)
                if not self._queue:
                    return
                if self._coming:
                    self._change.wait_for(self._ready, self._patience)
                batch = self._take()
            if batch:
                self._run(batch)

    def _ready(self) -> bool:
        return not self._coming or len(self._queue) >= self._largest or self._closed

    def _take(self) -> list[tuple[Job, int]]:
        """Take the samples of the next call; those nobody waits for any more are dropped."""
        batch: list[tuple[Job, int]] = []
        while self._queue and len(batch) < self._largest:
            job, place = self._queue.popleft()
            if job.over:
                self.load -= 1
            else:
                batch.append((job, place))
        return batch

    def _run(self, batch: list[tuple[Job, int]]) -> None:
        try:
            answers = self._call(batch)
        except Exception as error:
            jobs = list(dict.fromkeys(job for job, _ in batch))
            if len(jobs) > 1:  # one request's fault isn't the others': each again, on its own
                for each in jobs:
                    self._run([item for item in batch if item[0] is each])
                return
            if not isinstance(error, BenchdogError):
                print(f"benchdog: the model failed: {_said(error)}", file=sys.stderr, flush=True)
            self._finish(jobs[0], rejected(error))
        else:
            for (job, place), answer in zip(batch, answers, strict=True):
                job.answers[place] = answer
                job.left -= 1
                if not job.left:
                    self._finish(job, None)
        with self._change:
            self.load -= len(batch)

    def _call(self, batch: list[tuple[Job, int]]) -> list[Answer]:
        self.calls += 1
        samples = [job.samples[place] for job, place in batch]
        try:
            answers = self._answer(samples, [job.ids[place] for job, place in batch])
        except SystemExit as error:  # a stranger's code may call it; the thread must go on
            raise RuntimeError(f"the model's code called sys.exit({error.code!r})") from error
        if len(answers) != len(batch):
            raise RuntimeError(f"{len(answers)} answers for {len(batch)} samples")
        return answers

    def _finish(self, job: Job, error: Exception | None) -> None:
        job.over = True
        with contextlib.suppress(RuntimeError):  # the loop has ended: nobody waits
            job.loop.call_soon_threadsafe(_hand_over, job, error)


class Visit:
    """A request's stay: announced on entering, its samples queued by `ask`."""

    def __init__(self, batcher: Batcher) -> None:
        self._batcher = batcher
        self._coming = False

    def __enter__(self) -> Visit:
        self._batcher._enter()
        self._coming = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._arrived()

    def _arrived(self) -> None:
        if self._coming:
            self._coming = False
            self._batcher._leave()

    async def ask(self, samples: Sequence[Sample], ids: Sequence[str]) -> list[Answer]:
        """Queue samples and wait for their answers.

        Raises:
            Rejected: 503, too many samples are waiting.
        """
        loop = asyncio.get_running_loop()
        job = Job(samples, ids, loop.create_future(), loop, [None] * len(samples), len(samples))
        try:
            self._batcher._add(job)
        finally:
            self._arrived()
        try:
            return await job.future
        finally:
            job.over = True


def _hand_over(job: Job, error: Exception | None) -> None:
    if job.future.done():
        return
    if error is not None:
        job.future.set_exception(error)
    else:
        job.future.set_result([answer for answer in job.answers if answer is not None])


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"
