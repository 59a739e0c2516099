"""Worker processes: unshared batches are copied, waits have an end, scripts run once, a death is one sentence."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from multiprocessing import current_process
from multiprocessing.reduction import ForkingPickler
from queue import Empty

import pytest

import benchdog
from benchdog.data import worker_processes
from benchdog.data.worker_processes import Fault, WorkerContext
from benchdog.errors import BadUsage, Failed
from benchdog.system.processes import how_it_ended
from benchdog.system.signals import Interrupted, Signals
from support.in_process import train

FROM_WORKERS = ("--workers", 1, "--set", "loader.memory=0", "--model", "linear", "--batch-size", 8)


class Shared:
    """A batch that goes through shared memory, which is full; its copy needs none."""

    def __init__(self, value):
        self.value = value


def reduce_shared(batch):
    raise OSError(errno.ENOSPC, "No space left on device")


class Stuck:
    """A batch that can't be sent in any way."""

    def __reduce__(self):
        raise TypeError("it has a lock")


@pytest.fixture
def queue():
    ForkingPickler.register(Shared, reduce_shared)
    queue = WorkerContext().Queue()
    yield queue
    queue.close()


def received(queue):
    """Return the next item, as a DataLoader waits for it."""
    while True:
        try:
            return queue.get(timeout=5)
        except Empty:
            continue


def test_batch_that_does_not_fit_into_shared_memory_is_copied_with_one_note(queue, capsys):
    for index in range(3):
        queue.put((index, Shared(index)))
    got = [received(queue) for _ in range(3)]
    assert [(index, batch.value) for index, batch in got] == [(0, 0), (1, 1), (2, 2)]
    err = capsys.readouterr().err
    assert err.count("is full") == 1
    assert "--shm-size" in err
    assert "Traceback" not in err


def test_batch_that_cannot_be_copied_is_an_error_and_not_an_endless_wait(queue, capsys):
    queue.put((0, Stuck()))
    index, fault = received(queue)
    assert index == 0
    assert isinstance(fault, Fault)
    assert "it has a lock" in str(fault.error)
    assert "Traceback" not in capsys.readouterr().err


def test_signal_ends_the_wait_for_a_batch(queue, monkeypatch):
    monkeypatch.setattr(worker_processes, "POLL", 0.01)
    with Signals() as signals:
        signals.notice(signal.SIGTERM, None)
        signals.since -= 10
        with pytest.raises(Interrupted):
            received(queue)


def test_wait_for_a_batch_has_a_limit(queue, monkeypatch):
    monkeypatch.setattr(worker_processes, "POLL", 0.01)
    monkeypatch.setattr(worker_processes, "LONGEST", 0.05)
    with pytest.raises(Failed, match="No batch has come"):
        received(queue)


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")
@pytest.mark.parametrize(
    ("code", "words"),
    [(-signal.SIGKILL, "signal 9 (SIGKILL: out of memory?)"), (3, "exit code 3"), (-64, "signal 64"),
     (-signal.SIGTERM, "signal 15 (SIGTERM)")],
)  # fmt: skip
def test_end_of_a_process_is_described(code, words):
    assert words in how_it_ended(code)


def test_unknown_start_method_is_refused(monkeypatch):
    monkeypatch.setenv("BENCHDOG_START", "fork")
    with pytest.raises(BadUsage, match="spawn, forkserver"):
        WorkerContext()


def test_run_in_a_process_that_imports_the_script_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(current_process(), "_inheriting", True, raising=False)
    with pytest.raises(BadUsage, match="__main__"):
        benchdog.train("digits", runs_dir=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="signals are POSIX's")
@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("kill", "was ended by signal 9 (SIGKILL: out of memory?)"),
        ("memory", "Not enough memory for 7 GiB more"),
        ("bug", "ZeroDivisionError: seven\n  Raised in"),
    ],
)
def test_what_ends_a_worker_is_one_sentence(tmp_path, fault, words):
    (tmp_path / "faulty.py").write_text(FAULTY, encoding="utf-8")
    result = train("faulty.py:Source", *FROM_WORKERS, "--name", "dead", cwd=tmp_path, code=1, env={"FAULT": fault})
    assert words in result.err
    assert "Traceback" not in result.err
    assert json.loads((tmp_path / "runs" / "dead" / "run.json").read_text())["status"] == "failed"


FAULTY = """
import multiprocessing
import os
import pathlib
import signal
import time

import numpy as np

from benchdog.api import Field, Raw, Spec, Target


def fault():
    if os.environ["FAULT"] == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if os.environ["FAULT"] == "memory":
        raise MemoryError("Unable to allocate 7 GiB for an array")
    if os.environ["FAULT"] == "bug":
        raise ZeroDivisionError("seven")
    pathlib.Path("hanging").write_text(str(os.getpid()))
    time.sleep(600)


class Split:
    def __len__(self):
        return 40

    def raw(self, i):
        if multiprocessing.parent_process() and i == 7:
            fault()
        return Raw(id=str(i), fields={"input": np.ones(4, "float32") * i}, target=i % 2)


class Source:
    def spec(self):
        field = Field(kind="table", shape=(4,), dtype="float32")
        return Spec(fields=(field,), target=Target(kind="class", classes=("a", "b")))

    def open(self):
        return {"train": Split(), "valid": Split()}
"""

SCRIPT = """
import benchdog

run = benchdog.train("digits", model="linear", epochs=1, workers=1, loader__memory=0, quiet=True)
print("trained", run.folder.name)
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", ["file", "stdin"])
def test_script_without_main_guard_trains_once(tmp_path, how):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    argv, text = ([str(script)], None) if how == "file" else ([], SCRIPT)
    done = subprocess.run(
        [sys.executable, *argv], cwd=tmp_path, input=text, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["trained", "digits-linear-1"]
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["digits-linear-1"]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="signals are POSIX's")
def test_first_signal_is_obeyed_while_no_batch_comes(tmp_path):
    """One SIGTERM to the training alone, whose worker hangs as with a dead disk, ends both."""
    (tmp_path / "faulty.py").write_text(FAULTY, encoding="utf-8")
    command = ["train", "faulty.py:Source", *map(str, FROM_WORKERS), "--name", "hung"]
    process = subprocess.Popen(
        [sys.executable, "-m", "benchdog", *command],
        cwd=tmp_path, env={**os.environ, "FAULT": "hang"}, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    hanging, end = tmp_path / "hanging", time.monotonic() + 120
    while not hanging.is_file():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.05)
    worker = int(hanging.read_text())
    process.terminate()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 143, err
    assert "a checkpoint was written" in err
    assert "Traceback" not in err
    with pytest.raises(ProcessLookupError):
        os.kill(worker, 0)
