"""Dynamic batching: queued samples of several requests are predicted in one call, by one thread.

While the model works, what arrives queues up and becomes the next batch, so a busy server batches without
a timer and an idle one starts at once. The only wait, of `patience` seconds at most, is for requests whose
bodies have arrived and are being decoded at that moment.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import numpy as np

from benchdog.api import Answer, BenchdogError
from benchdog.cli.output import complain
from benchdog_serve.errors import as_rejected, busy, described, stopping

Sample = tuple[np.ndarray[Any, np.dtype[Any]], ...]
"""A decoded sample: an array per field, without a batch axis."""
Predict = Callable[[Sequence[Sample], Sequence[str]], list[Answer]]


@dataclass(slots=True, eq=False)
class Job:
    """The samples of one request, and the future that gets its answers."""

    samples: Sequence[Sample]
    ids: Sequence[str]
    future: asyncio.Future[list[Answer]]
    loop: asyncio.AbstractEventLoop
    answers: list[Answer | None] = field(default_factory=list)
    pending: int = 0
    done: bool = False


class Batcher:
    """A queue of samples and the thread that runs the model on them.

    Args:
        predict: returns the answers for decoded samples, in their order; called from one thread only.
        largest: most samples of a call.
        waiting: most samples that may be queued or in progress; a first request is always let in.
        patience: longest wait, in seconds, for requests that are being decoded.
    """

    def __init__(self, predict: Predict, *, largest: int, waiting: int, patience: float = 0.002) -> None:
        self._predict = predict
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

    def reject_when_full(self) -> None:
        """Raise Rejected (503) when the queue is full, before a request's body is read."""
        if self._closed:
            raise stopping()
        if self.load >= self._waiting:
            raise busy(f"{self.load} samples are queued already.")

    def announce(self) -> RequestSlot:
        """Announce a request whose samples are being decoded."""
        return RequestSlot(self)

    def close(self, seconds: float = 0.5) -> None:
        """Stop the thread; a call of the model that takes longer than some seconds is abandoned."""
        with self._change:
            self._closed = True
            self._change.notify_all()
        self._thread.join(seconds)

    # --- called by request slots, on the event loop's thread

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
                raise stopping()
            if self.load and self.load + len(job.samples) > self._waiting:
                raise busy(f"{self.load} samples are queued already.")
            self.load += len(job.samples)
            self._queue.extend((job, index) for index in range(len(job.samples)))

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
        """Take the samples of the next call; those of requests that were given up are dropped."""
        batch: list[tuple[Job, int]] = []
        while self._queue and len(batch) < self._largest:
            job, index = self._queue.popleft()
            if job.done:
                self.load -= 1
            else:
                batch.append((job, index))
        return batch

    def _run(self, batch: list[tuple[Job, int]]) -> None:
        try:
            answers = self._call(batch)
        except Exception as error:
            jobs = list(dict.fromkeys(job for job, _ in batch))
            if len(jobs) > 1:  # one request must not fail the others: retry each on its own
                for each in jobs:
                    self._run([item for item in batch if item[0] is each])
                return
            if not isinstance(error, BenchdogError):
                complain(f"benchdog: the model failed: {described(error)}")
            self._finish(jobs[0], as_rejected(error))
        else:
            for (job, index), answer in zip(batch, answers, strict=True):
                job.answers[index] = answer
                job.pending -= 1
                if not job.pending:
                    self._finish(job, None)
        with self._change:
            self.load -= len(batch)

    def _call(self, batch: list[tuple[Job, int]]) -> list[Answer]:
        self.calls += 1
        samples = [job.samples[index] for job, index in batch]
        try:
            answers = self._predict(samples, [job.ids[index] for job, index in batch])
        except SystemExit as error:  # third-party code may call it; the thread must survive
            raise RuntimeError(f"the model's code called sys.exit({error.code!r})") from error
        if len(answers) != len(batch):
            raise RuntimeError(f"{len(answers)} answers for {len(batch)} samples")
        return answers

    def _finish(self, job: Job, error: Exception | None) -> None:
        job.done = True
        with contextlib.suppress(RuntimeError):  # the loop has ended: no request is waiting
            job.loop.call_soon_threadsafe(_resolve, job, error)


class RequestSlot:
    """A request in the queue: announced on entering the context, its samples queued by `predict`."""

    def __init__(self, batcher: Batcher) -> None:
        self._batcher = batcher
        self._coming = False

    def __enter__(self) -> RequestSlot:
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

    async def predict(self, samples: Sequence[Sample], ids: Sequence[str]) -> list[Answer]:
        """Queue samples and wait for their answers.

        Raises:
            Rejected: 503, too many samples are queued.
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
            job.done = True


def _resolve(job: Job, error: Exception | None) -> None:
    if job.future.done():
        return
    if error is not None:
        job.future.set_exception(error)
    else:
        job.future.set_result([answer for answer in job.answers if answer is not None])
