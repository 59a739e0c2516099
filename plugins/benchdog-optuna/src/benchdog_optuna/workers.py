"""Worker processes of a study: each opens it from its folder and obeys its parent by way of stdin.

A line with a signal's number stands for that signal; at the end of stdin the parent is gone, and the worker exits.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchdog import PluginContext, follow_parent
from benchdog.api import BenchdogError, Failed, Stopped
from benchdog.cli.output import complain
from benchdog_optuna.results import ProgressCallback
from benchdog_optuna.study_folder import StudyFolder, trial_of
from benchdog_optuna.trials import WORKER, Limits, Trials, fail

if TYPE_CHECKING:
    from optuna import Study

THREADS = "OMP_NUM_THREADS"
POLL = 0.1


@dataclass(frozen=True, slots=True)
class WorkerArguments:
    """Arguments of a worker, as JSON on its command line."""

    folder: str
    trials: int
    until: float
    quiet: bool
    trust: bool
    local: list[str]


def run_workers(folder: StudyFolder, jobs: int, arguments: WorkerArguments) -> None:
    """Run trials in several processes until a limit is reached; one that dies costs only its trial.

    Raises:
        Stopped: a signal ended them; a resume continues their trials.
        Failed: a process ended before it had a trial.
    """
    study = folder.study()
    command = [sys.executable, "-m", "benchdog_optuna.workers", json.dumps(asdict(arguments))]
    env = dict(os.environ)
    env.setdefault(THREADS, str(max(1, (os.cpu_count() or 1) // jobs)))
    own_group: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":
        own_group = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(command, env=env, stdin=subprocess.PIPE, **own_group)

    workers: list[subprocess.Popen[bytes]] = []
    with _signals() as received:
        try:
            workers += [start() for _ in range(jobs)]
            passed_on = False
            while workers:
                if received and not passed_on:
                    passed_on = True
                    _pass_on(received[0], workers)
                for worker in [each for each in workers if each.poll() is not None]:
                    workers.remove(worker)
                    if worker.stdin is not None:
                        worker.stdin.close()
                    if not received and worker.returncode not in (0, 130, 143):
                        _fail_trial_of(study, worker)
                        workers.append(start())
                time.sleep(POLL)
        finally:
            for worker in workers:
                if worker.poll() is None:
                    worker.kill()
                worker.wait()
                if worker.stdin is not None:
                    worker.stdin.close()
    if received:
        raise Stopped("Stopped.", "", 128 + received[0])


@contextmanager
def _signals() -> Iterator[list[int]]:
    """Collect SIGINT and SIGTERM, to be passed on to the workers; a second one interrupts as usual."""
    received: list[int] = []

    def note(number: int, frame: object) -> None:
        if received:
            raise KeyboardInterrupt
        received.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _pass_on(number: int, workers: list[subprocess.Popen[bytes]]) -> None:
    for worker in workers:
        with suppress(OSError):
            worker.stdin.write(b"%d\n" % number)  # type: ignore[union-attr]
            worker.stdin.flush()  # type: ignore[union-attr]


def _fail_trial_of(study: Study, worker: subprocess.Popen[bytes]) -> None:
    """Record that a dead worker's trial failed."""
    from optuna.trial import TrialState

    unfinished = [
        frozen
        for frozen in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        if frozen.user_attrs.get(WORKER) == worker.pid
    ]
    if not unfinished:
        raise Failed(
            f"A process of the study ended with exit code {worker.returncode} before it had a trial.",
            "Its output is above. Try --jobs 1.",
        )
    for frozen in unfinished:
        why = f"Its process ended with exit code {worker.returncode}: out of memory, or killed?"
        fail(study, trial_of(study, frozen), why)


# --- in a worker


def main(arguments: WorkerArguments) -> int:
    """Run trials; return the exit code."""
    follow_parent()
    try:
        context = PluginContext(local=[Path(file) for file in arguments.local])
        folder = StudyFolder.open(Path(arguments.folder), context)
        folder.trust_code(arguments.trust)
        limits = Limits(arguments.trials, arguments.until)
        Trials(folder, limits, ProgressCallback(folder, arguments.quiet)).run()
    except (Stopped, KeyboardInterrupt) as stopped:
        return getattr(stopped, "code", 130)
    except BenchdogError as error:
        complain(f"error: {error}")
        return error.code
    return 0


if __name__ == "__main__":
    code = main(WorkerArguments(**json.loads(sys.argv[1])))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # the listening thread still reads stdin
