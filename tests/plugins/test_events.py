"""Observer queues: slow or failing observers don't delay the run, rare events are always delivered."""

import json
import threading
import time
from pathlib import Path

import pytest

from benchdog.plugins import Plugins, events
from benchdog.plugins.events import CAPACITY, RESERVE, Events
from support.command import run_bench
from support.in_process import run, same, stop_at

pytestmark = pytest.mark.usefixtures("weights_alone")

OBSERVER = """
import time
from pathlib import Path

from benchdog.api import hookimpl

CONTRACT = 1


def notify(run, what):
    BODY


@hookimpl
def benchdog_run_started(run):
    notify(run, "started")


@hookimpl
def benchdog_step_ended(run, step):
    notify(run, f"step {step}")


@hookimpl
def benchdog_epoch_ended(run, epoch):
    notify(run, f"epoch {epoch}")


@hookimpl
def benchdog_checkpoint_saved(run):
    notify(run, "checkpoint")


@hookimpl
def benchdog_run_stopped(run):
    notify(run, "stopped")


@hookimpl
def benchdog_run_failed(run, error):
    notify(run, "failed")


@hookimpl
def benchdog_run_ended(run):
    notify(run, "ended")
"""
WRITES = r"""recipe = "with recipe" if Path(run.folder, "recipe.toml").is_file() else "without"
    with Path(run.folder).with_suffix(".events").open("a", encoding="utf-8") as file:
        file.write(f"{what}, {recipe}\n")"""
TRAIN = ("train", "digits", "--model", "linear", "--epochs", 3, "--set", "loop.log_every=1", "--quiet", "--name")


class Faults(list[tuple[str, str]]):
    """Collect faults as the plugin manager does."""

    def __call__(self, plugin, fault, error, remedy=""):
        self.append((plugin, fault))


def write_observer(place, body, name="watcher.py"):
    place.joinpath(name).write_text(OBSERVER.replace("BODY", body), encoding="utf-8")
    return name


def steps(host, count):
    for step in range(count):
        host.emit("benchdog_step_ended", {"step": step})


def test_blocked_observer_does_not_delay_others(monkeypatch):
    monkeypatch.setattr(events, "PATIENCE", 0.3)
    faults, received, gate = Faults(), [], threading.Event()
    host = Events(faults)
    host.add("benchdog_step_ended", "blocked", lambda step: gate.wait(20), ["step"])
    host.add("benchdog_step_ended", "prompt", lambda step: received.append(step), ["step"])
    steps(host, 50)
    host.close()
    gate.set()
    assert received == list(range(50))
    assert [plugin for plugin, _ in faults] == ["blocked"]
    assert "still busy with benchdog_step_ended after 0 s" in faults[0][1]


def test_rare_events_are_delivered_when_the_queue_is_full_of_steps():
    faults, received, gate = Faults(), [], threading.Event()
    host = Events(faults)

    def slowly(**facts):
        gate.wait(20)
        received.append(facts)

    for event in ("benchdog_step_ended", "benchdog_epoch_ended", "benchdog_run_ended"):
        host.add(event, "slow", slowly, ["step"] if "step" in event else ["epoch"])
    steps(host, 3 * CAPACITY)
    for epoch in range(3 * RESERVE):
        host.emit("benchdog_epoch_ended", {"epoch": epoch})
    host.emit("benchdog_run_ended", {"epoch": -1})
    gate.set()
    host.close()
    assert received[-1] == {"epoch": -1}
    epochs = [facts["epoch"] for facts in received if facts.get("epoch", -1) >= 0]
    assert RESERVE - 1 <= len(epochs) <= RESERVE + 1
    assert epochs == list(range(len(epochs)))
    delivered = [facts["step"] for facts in received if "step" in facts]
    assert delivered == list(range(len(delivered)))
    assert host.dropped == 6 * CAPACITY - len(epochs) - len(delivered)
    assert faults == [("slow", f"too slow: {host.dropped} events were dropped.")]


def test_slow_observer_receives_run_ended_instead_of_pending_steps(monkeypatch):
    monkeypatch.setattr(events, "PATIENCE", 2.0)
    faults, received = Faults(), []
    host = Events(faults)

    def slowly(step):
        time.sleep(0.02)
        received.append(step)

    host.add("benchdog_step_ended", "slow", slowly, ["step"])
    host.add("benchdog_run_ended", "slow", lambda: received.append("ended"), [])
    steps(host, 900)  # 18 s of work
    host.emit("benchdog_run_ended", {})
    begun = time.monotonic()
    host.close()
    assert time.monotonic() - begun < 2.0
    assert received[-1] == "ended"
    assert "events were dropped" in faults[0][1]


def test_abandoned_observer_is_not_called_in_the_next_run(monkeypatch):
    monkeypatch.setattr(events, "PATIENCE", 0.1)
    faults, received, gate = Faults(), [], threading.Event()
    host = Events(faults)

    def block(step):
        received.append(step)
        gate.wait(20)

    host.add("benchdog_step_ended", "blocked", block, ["step"])
    steps(host, 5)
    host.close()
    gate.set()
    steps(host, 5)
    host.close()
    assert received == [0]
    assert len(faults) == 1


def test_abandoned_observer_neither_gets_blamed_for_later_changes_nor_undoes_them(tmp_path, monkeypatch):
    monkeypatch.setattr(events, "PATIENCE", 0.1)
    faults, gate, threads = Faults(), threading.Event(), []

    def block(step):
        threads.append(threading.current_thread())
        gate.wait(20)

    host = Events(faults)
    host.add("benchdog_step_ended", "blocked", block, ["step"])
    steps(host, 1)
    host.close()
    monkeypatch.chdir(tmp_path)
    gate.set()
    threads[0].join(20)
    assert Path.cwd() == tmp_path
    assert [fault for _, fault, *_ in faults] == ["still busy with benchdog_step_ended after 0 s; abandoned."]


def test_second_run_is_delivered_like_the_first():
    received: list[int] = []
    host = Events(Faults())
    host.add("benchdog_step_ended", "prompt", lambda step: received.append(step), ["step"])
    for _ in range(2):
        steps(host, 3)
        host.close()
    assert received == [0, 1, 2, 0, 1, 2]


@pytest.fixture(scope="module")
def observed(tmp_path_factory):
    """Return a folder with a run that an observer was notified of."""
    place = tmp_path_factory.mktemp("observed")
    run("--plugin", write_observer(place, WRITES), *TRAIN, "one", cwd=place)
    return place


def test_observer_receives_all_events_of_a_run(observed):
    first, *others = (observed / "runs" / "one.events").read_text(encoding="utf-8").splitlines()
    assert first == "started, with recipe"
    assert [line for line in others if line.startswith("epoch")] == [f"epoch {i}, with recipe" for i in (1, 2, 3)]
    assert "step 1, with recipe" in others
    assert others[-1] == "ended, with recipe"


@pytest.mark.slow
def test_two_ranks_emit_every_logged_event(tmp_path):
    name = write_observer(tmp_path, WRITES)
    words = (*TRAIN, "two", "--set", "backend.ranks=2", "--backend", "cpu", "--json")
    *printed, last = run("--plugin", name, *words, cwd=tmp_path).lines
    folder = tmp_path / "runs" / "two"
    assert (last["status"], list(folder.glob(".events-*"))) == ("finished", [])
    logged = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    for kind in ("step", "epoch"):  # through the process that started them
        emitted = [{**line, "kind": kind} for line in printed if line["event"] == f"{kind}_ended"]
        emitted = [{k: v for k, v in line.items() if k not in ("format", "event", "run")} for line in emitted]
        assert emitted == [line for line in logged if line["kind"] == kind] != []
    lines = (tmp_path / "runs" / "two.events").read_text(encoding="utf-8").splitlines()
    facts = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    assert sum(line.startswith("step") for line in lines) == facts["steps_done"]
    assert [line for line in lines if line.startswith("epoch")] == [f"epoch {i}, with recipe" for i in (1, 2, 3)]
    assert lines[-1] == "ended, with recipe"


@pytest.mark.parametrize("body", ["time.sleep(10)", "raise OSError('no luck')"], ids=["blocked", "raising"])
def test_faulty_observer_changes_neither_result_nor_exit_code(observed, tmp_path, monkeypatch, body):
    monkeypatch.setattr(events, "PATIENCE", 0.5)
    close, waited = Plugins.close, []

    def timed(self):
        begun = time.monotonic()
        close(self)
        waited.append(time.monotonic() - begun)

    monkeypatch.setattr(Plugins, "close", timed)
    done = run("--plugin", write_observer(tmp_path, body), *TRAIN, "bad", cwd=tmp_path)
    assert done.err.count("benchdog: plugin 'watcher'") == 1
    assert 0 < sum(waited) < 1.5
    assert same(observed / "runs" / "one", tmp_path / "runs" / "bad")
    facts = json.loads((tmp_path / "runs" / "bad" / "run.json").read_text(encoding="utf-8"))
    assert facts["status"] == "finished"


@pytest.mark.slow
def test_hanging_observer_does_not_change_exit_code_of_a_failed_run(tmp_path):
    name = write_observer(tmp_path, "time.sleep(10)")
    words = [*TRAIN, "nan", "--lr", "1e38", "--set", "trainer.optimizer=SGD"]
    result = run_bench("--plugin", name, *words, cwd=tmp_path, code=1)
    assert "abandoned" in result.err
    assert "The loss is" in result.err


def test_run_stopped_event_follows_its_checkpoint(tmp_path, monkeypatch):
    stop_at(monkeypatch, 15)
    run("--plugin", write_observer(tmp_path, WRITES), *TRAIN, "stopped", cwd=tmp_path, code=143)
    lines = (tmp_path / "runs" / "stopped.events").read_text(encoding="utf-8").splitlines()
    assert lines[-2:] == ["checkpoint, with recipe", "stopped, with recipe"]
