"""Several processes that work on one study: each opens it from its folder, and hears its parent on its input.

A line with a signal's number is that signal; the end of the input is the parent's, with which the process ends too.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchdog.errors import BenchdogError, Failed, Stopped
from benchdog.plugins import Plugins
from benchdog.system.signals import Signals
from benchdog_optuna.folder import Folder, trial_of
from benchdog_optuna.telling import Teller
from benchdog_optuna.trials import WORKER, Limits, Trials, fail

if TYPE_CHECKING:
    from optuna import Study

THREADS = "OMP_NUM_THREADS"
POLL = 0.1


@dataclass(frozen=True, slots=True)
class Asked:
    """What a process is to do, as JSON on its command line."""

    folder: str
    trials: int
    until: float
    quiet: bool
    trust: bool
    local: list[str]


def work_together(folder: Folder, jobs: int, asked: Asked) -> None:
    """Let processes carry out trials until a limit is reached; one that dies costs its trial alone.

    Raises:
        Stopped: a signal ended them; trials are left for a resume.
        Failed: a process ended before it had a trial.
    """
    study = folder.study()
    command = [sys.executable, "-m", "benchdog_optuna.jobs", json.dumps(vars_of(asked))]
    env = dict(os.environ)
    env.setdefault(THREADS, str(max(1, (os.cpu_count() or 1) // jobs)))
    apart: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":
        apart = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(command, env=env, stdin=subprocess.PIPE, **apart)

    workers: list[subprocess.Popen[bytes]] = []
    with Signals() as signals:
        try:
            workers += [start() for _ in range(jobs)]
            told = False
            while workers:
                if signals.number and not told:
                    told = True
                    _pass_on(signals.number, workers)
                for worker in [each for each in workers if each.poll() is not None]:
                    workers.remove(worker)
                    if not signals.number and worker.returncode not in (0, 130, 143):
                        _bury(study, worker)
                        workers.append(start())
                time.sleep(POLL)
        finally:
            for worker in workers:
                if worker.poll() is None:
                    worker.kill()
                worker.wait()
    if signals.number:
        raise Stopped("Stopped.", "", 128 + signals.number)


def vars_of(asked: Asked) -> dict[str, Any]:
    """Give what is asked as JSON."""
    return {name: getattr(asked, name) for name in Asked.__slots__}


def _pass_on(number: int, workers: list[subprocess.Popen[bytes]]) -> None:
    for worker in workers:
        with suppress(OSError):
            worker.stdin.write(b"%d\n" % number)  # type: ignore[union-attr]
            worker.stdin.flush()  # type: ignore[union-attr]


def _bury(study: Study, worker: subprocess.Popen[bytes]) -> None:
    """Write down that a dead process's trial failed."""
    from optuna.trial import TrialState

    mine = [
        frozen
        for frozen in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        if frozen.user_attrs.get(WORKER) == worker.pid
    ]
    if not mine:
        raise Failed(
            f"A process of the study ended with exit code {worker.returncode} before it had a trial.",
            "Its own words are above. Try --jobs 1.",
        )
    for frozen in mine:
        why = f"Its process ended with exit code {worker.returncode}: out of memory, or killed?"
        fail(study, trial_of(study, frozen), why)


# --- in such a process


def main(asked: Asked) -> int:
    """Carry out trials; give the exit code."""
    threading.Thread(target=_listen, daemon=True).start()
    try:
        folder = Folder.open(Path(asked.folder))

        def plugins_of(more: tuple[str, ...]) -> Plugins:
            return Plugins.discover([*more, *asked.local])

        plugins = folder.plugins(plugins_of, asked.trust)
        limits = Limits(asked.trials, asked.until)
        Trials(folder, plugins, plugins_of, limits, Teller(folder, asked.quiet)).work()
    except (Stopped, KeyboardInterrupt) as stopped:
        return getattr(stopped, "code", 130)
    except BenchdogError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return error.code
    return 0


def _listen() -> None:
    """Obey the parent; not by way of sys.stdin, whose lock the interpreter's end would wait for."""
    text = b""
    while received := os.read(0, 64):
        text += received
        while b"\n" in text:
            line, _, text = text.partition(b"\n")
            signal.raise_signal(int(line))
    os._exit(1)


if __name__ == "__main__":
    code = main(Asked(**json.loads(sys.argv[1])))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # the thread that listens holds its input
