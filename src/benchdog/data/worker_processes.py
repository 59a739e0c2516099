"""Processes of DataLoader workers: none imports the user's script again, and no wait for them is endless."""

from __future__ import annotations

import errno
import os
import pickle
import queue
import re
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import context, current_process, queues, util
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakSet

from torch.utils.data import DataLoader, get_worker_info

from benchdog.errors import BadUsage, Failed
from benchdog.plugins.error_origin import explained
from benchdog.system import terminal
from benchdog.system.files import readable
from benchdog.system.processes import how_it_ended
from benchdog.system.signals import Interrupted, stop_waiting

if TYPE_CHECKING:
    _Queue = queues.Queue[Any]
else:
    _Queue = queues.Queue

POLL = 1.0
"""Seconds between two looks at signals and at the workers while a batch is waited for."""
LONGEST = 1800.0
"""Seconds that a batch may take; without worker processes it may take any time."""
START, METHODS = "BENCHDOG_START", ("spawn", "forkserver")
SHM = "/dev/shm"
MORE_SHM = "docker run --shm-size=1g gives more; --workers 0 or a smaller --batch-size needs none or less."
FEWER = "Use fewer --workers, or none: --workers 0."
DIED = re.compile(r"DataLoader worker \(pid(?:\(s\))? (\d+)[\d, ]*\) (?:is killed by signal|exited unexpectedly)")
GRACE = 5.0
"""Seconds to wait for a killed worker to exit: one blocked on a dead disk never does."""
_created: WeakSet[Worker] = WeakSet()
Asked = TypeVar("Asked")
Read = TypeVar("Read")
_hiding = threading.Lock()


class ByValue:
    """A batch that can't be put into shared memory; it is copied through the queue's pipe.

    Attributes:
        batch: pickled.
        why: what the system said.
    """

    def __init__(self, batch: Any, why: str) -> None:
        self.batch, self.why = pickle.dumps(batch), why


class Fault:
    """What a worker raised in place of a batch; it is raised again by the process that waits for the batch."""

    def __init__(self, error: Exception) -> None:
        self.error = error


class BatchQueue(_Queue):
    """The queue between the training loop and its workers; no wait on it is endless.

    torch prints the traceback of a batch that can't be shared, and lets the loop wait for it. Here it comes as a
    copy, and one that can't be copied either as the error.
    """

    _reader_pid, _since, _noted = 0, 0.0, False

    def read_here(self) -> BatchQueue:
        """Return the queue after noting that this process reads it; the others write."""
        self._reader_pid = os.getpid()
        return self

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Return the next item, or raise `queue.Empty` after at most `POLL` seconds.

        Raises:
            Interrupted: a signal asks the loop to end.
            Failed: no batch has come for a long time.
        """
        if self._reader_pid != os.getpid():  # a worker, which may have nothing to do for long
            return super().get(block, timeout)
        try:
            index, batch = super().get(block, POLL if timeout is None else min(timeout, POLL))
        except queue.Empty:
            self._check()
            raise
        self._since = 0.0
        if isinstance(batch, ByValue):
            self._note(batch)
            return index, pickle.loads(batch.batch)
        return index, batch

    def _check(self) -> None:
        stop_waiting()
        now = time.monotonic()
        self._since = self._since or now
        if now - self._since > LONGEST:
            raise Failed(
                f"No batch has come from the worker processes for {LONGEST / 60:.0f} minutes.",
                "Is the disk or file server hanging? If it is only slow: --workers 0 waits without a limit.",
            )

    def _note(self, copied: ByValue) -> None:
        if self._noted:
            return
        self._noted = True
        if "No space left" in copied.why:
            size = readable(len(copied.batch))
            terminal.note(f"{shm_is_full()}; batches of {size} are copied, which is slower. {MORE_SHM}")
        else:
            terminal.note(f"batches are copied, since they can't be shared: {copied.why[:200]}")

    def _on_queue_feeder_error(self, e: Exception, obj: Any) -> None:
        """Replace what can't be sent; `multiprocessing` calls this in the worker."""
        index, batch = obj
        try:
            if isinstance(batch, ByValue | Fault):
                raise e
            self.put((index, ByValue(batch, " ".join(str(e).split()))))
        except Exception as error:
            failed = Failed(f"A worker process can't send a batch: {type(error).__name__}: {error}.", FEWER)
            self.put((index, Fault(failed)))


class Worker(context.SpawnProcess):
    """A worker process that doesn't import the main module: a script without a main guard would run once more."""

    @staticmethod
    def _Popen(process_obj: Any) -> Any:  # noqa: N802 -- multiprocessing's name
        method = os.environ.get(START, "spawn")
        served = method == "forkserver" and hasattr(context, "ForkServerProcess")  # Windows has none
        base = context.ForkServerProcess if served else context.SpawnProcess
        with _main_hidden():
            return base._Popen(process_obj)


class WorkerContext(context.SpawnContext):
    """The `multiprocessing` context of a DataLoader; a fork would copy the locks of torch's running threads."""

    def __init__(self) -> None:
        method = os.environ.get(START, "spawn")
        if method not in METHODS:
            raise BadUsage(f"{START} is {method!r}.", f"Set it to one of: {', '.join(METHODS)}.")
        self._workers: list[Worker] = []
        util.Finalize(self, _kill, args=(self._workers,), exitpriority=10)

    def Process(self, *args: Any, **options: Any) -> Any:  # type: ignore[override]  # noqa: N802
        """Create a worker."""
        worker = Worker(*args, **options)
        self._workers.append(worker)
        _created.add(worker)
        return worker

    def Queue(self, maxsize: int = 0) -> Any:  # noqa: N802
        """Create a queue that this process reads."""
        return BatchQueue(maxsize, ctx=self.get_context()).read_here()

    def kill(self) -> None:
        """End the workers, whatever they do."""
        _kill(self._workers)

    def started(self, loader: DataLoader[Any]) -> Iterator[Any]:
        """Start the workers of a loader, or an epoch of those that run, and return its iterator.

        Raises:
            NoSharedMemory: there is none for semaphores.
            Failed: the system refuses something else.
        """
        try:
            return iter(loader)
        except OSError as error:
            _disown_iterator(error)
            self.kill()
            raise _refusal(error) from error

    def received(self, batches: Iterator[Any]) -> Iterator[Any]:
        """Yield what workers send.

        Raises:
            Interrupted: a signal arrived, and no batch.
            Failed: a worker died. Whatever else a worker raised is raised again.
        """
        while True:
            try:
                batch = next(batches, self)
            except (Interrupted, KeyboardInterrupt, RuntimeError) as error:
                fault = worker_fault(error)
                self.kill()
                raise fault or error from None
            if batch is self:
                return
            if isinstance(batch, Fault):
                raise batch.error
            yield batch


def reported(read: Callable[[Asked], Read], asked: Asked) -> Read | Fault:
    """Return what a function returns; in a worker also what it raises, as a `Fault` if it has an explanation."""
    if get_worker_info() is None:
        return read(asked)
    try:
        return read(asked)
    except Exception as error:
        known = explained(error)
        if known is None:
            raise  # a bug of ours comes with its traceback
        return Fault(known)


def refuse_in_worker() -> None:
    """Refuse to begin a run while a process imports the script that started it, as those of `multiprocessing` do.

    Raises:
        BadUsage: the script has no main guard.
    """
    if getattr(current_process(), "_inheriting", False):
        raise BadUsage(
            "A process that the script started imports the script, and the run in it would begin once more.",
            'Put the script\'s calls below: if __name__ == "__main__":',
        )


class NoSharedMemory(Failed):
    """There is no space for the semaphores that a worker process needs."""


def _refusal(error: OSError) -> Failed:
    """Return a sentence on what the system refuses to a new worker."""
    if error.errno == errno.ENOSPC:
        return NoSharedMemory(f"Worker processes can't be started: {shm_is_full()}.", MORE_SHM)
    known = explained(error)
    why, hint = (known.message, known.hint) if known else (f"{error.strerror or error}.", "")
    hint = hint if "--workers" in hint else f"{hint} Or train without: --workers 0".lstrip()
    return Failed(f"Worker processes can't be started: {why}", hint)


def _disown_iterator(error: OSError) -> None:
    """Keep torch from cleaning up an iterator that was never complete, which ends in another traceback."""
    frame = error.__traceback__
    while frame is not None:
        owner: Any = frame.tb_frame.f_locals.get("self")
        if type(owner).__name__ == "_MultiProcessingDataLoaderIter":
            owner._shutdown = True
        frame = frame.tb_next


def worker_fault(error: BaseException) -> Failed | None:
    """Return a sentence on torch's error about a dead worker; None for other errors."""
    if not isinstance(error, RuntimeError) or (match := DIED.search(str(error))) is None:
        return None
    codes = [worker.exitcode for worker in _created if worker.pid == int(match[1])]
    ended = how_it_ended(codes[0] if codes else None)
    return Failed(f"A worker process (pid {match[1]}) {ended}.", "Use fewer --workers, or a smaller --batch-size.")


def shm_is_full() -> str:
    """Describe full shared memory, with its size."""
    with suppress(OSError):
        return f"{SHM} is full ({readable(shutil.disk_usage(SHM).total)})"
    return "shared memory is full"


@contextmanager
def _main_hidden() -> Iterator[None]:
    """Let the processes that are started inside the block begin without the main module."""
    main = sys.modules["__main__"].__dict__
    with _hiding:
        names = ("__spec__", "__file__")
        before: dict[str, Any] = {name: main[name] for name in names if name in main}
        main["__spec__"] = main["__file__"] = None
        try:
            yield
        finally:
            for name in names:
                main.pop(name)
            main.update(before)


def _kill(workers: list[Worker]) -> None:
    """End workers and wait for it, without torch's handler of SIGCHLD, which would report them as lost."""
    alive = [worker for worker in workers if worker.pid is not None and worker.is_alive()]
    if not alive:
        return
    child, before = getattr(signal, "SIGCHLD", None), None
    if child is not None and threading.current_thread() is threading.main_thread():
        before = signal.signal(child, lambda number, frame: None)
    for worker in alive:
        worker.kill()
    for worker in alive:
        worker.join(GRACE)
    if before is not None and child is not None:
        signal.signal(child, before)
