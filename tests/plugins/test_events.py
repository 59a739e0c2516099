"""Observers have a queue each: none can hold up the run or another, and what ends a run is heard."""

import json
import threading
import time

import pytest

from benchdog.plugins import Plugins, events
from benchdog.plugins.events import CAPACITY, RESERVE, Events
from support.command import run_bench
from support.in_process import run, same, stop_at

EAR = """
import time
from pathlib import Path

from benchdog.api import hookimpl

CONTRACT = 1


def hear(run, what):
    BODY


@hookimpl
def benchdog_run_started(run):
    hear(run, "started")


@hookimpl
def benchdog_step_ended(run, step):
    hear(run, f"step {step}")


@hookimpl
def benchdog_epoch_ended(run, epoch):
    hear(run, f"epoch {epoch}")


@hookimpl
def benchdog_checkpoint_saved(run):
    hear(run, "checkpoint")


@hookimpl
def benchdog_run_stopped(run):
    hear(run, "stopped")


@hookimpl
def benchdog_run_failed(run, error):
    hear(run, "failed")


@hookimpl
def benchdog_run_ended(run):
    hear(run, "ended")
"""
WRITES = r"""recipe = "with recipe" if Path(run.folder, "recipe.toml").is_file() else "without"
    with Path(run.folder).with_suffix(".heard").open("a", encoding="utf-8") as file:
        file.write(f"{what}, {recipe}\n")"""
TRAIN = ("train", "digits", "--model", "linear", "--epochs", 3, "--set", "loop.log_every=1", "--quiet", "--name")


class Faults(list[tuple[str, str]]):
    """Takes faults as the host does."""

    def __call__(self, plugin, fault, error, remedy=""):
        self.append((plugin, fault))


def ear(place, body, name="ear.py"):
    place.joinpath(name).write_text(EAR.replace("BODY", body), encoding="utf-8")
    return name


def steps(host, count):
    for step in range(count):
        host.emit("benchdog_step_ended", {"step": step})


def test_one_that_waits_holds_no_other_up(monkeypatch):
    monkeypatch.setattr(events, "PATIENCE", 0.3)
    faults, heard, gate = Faults(), [], threading.Event()
    host = Events(faults)
    host.add("benchdog_step_ended", "waits", lambda step: gate.wait(20), ["step"])
    host.add("benchdog_step_ended", "hears", lambda step: heard.append(step), ["step"])
    steps(host, 50)
    host.close()
    gate.set()
    assert heard == list(range(50))
    assert [plugin for plugin, _ in faults] == ["waits"]
    assert "still busy with benchdog_step_ended after 0 s" in faults[0][1]


def test_what_is_rare_is_heard_however_many_steps_wait():
    faults, heard, gate = Faults(), [], threading.Event()
    host = Events(faults)

    def slowly(**facts):
        gate.wait(20)
        heard.append(facts)

    for event in ("benchdog_step_ended", "benchdog_epoch_ended", "benchdog_run_ended"):
        host.add(event, "slow", slowly, ["step"] if "step" in event else ["epoch"])
    steps(host, 3 * CAPACITY)
    for epoch in range(3 * RESERVE):
        host.emit("benchdog_epoch_ended", {"epoch": epoch})
    host.emit("benchdog_run_ended", {"epoch": -1})
    gate.set()
    host.close()
    assert heard[-1] == {"epoch": -1}
    told = [facts["epoch"] for facts in heard if facts.get("epoch", -1) >= 0]
    assert RESERVE - 1 <= len(told) <= RESERVE + 1
    assert told == list(range(len(told)))
    waited = [facts["step"] for facts in heard if "step" in facts]
    assert waited == list(range(len(waited)))
    assert host.dropped == 6 * CAPACITY - len(told) - len(waited)
    assert faults == [("slow", f"too slow: {host.dropped} events were dropped.")]


def test_at_the_end_a_slow_one_hears_the_end_in_place_of_the_steps(monkeypatch):
    monkeypatch.setattr(events, "PATIENCE", 2.0)
    faults, heard = Faults(), []
    host = Events(faults)

    def slowly(step):
        time.sleep(0.02)
        heard.append(step)

    host.add("benchdog_step_ended", "slow", slowly, ["step"])
    host.add("benchdog_run_ended", "slow", lambda: heard.append("ended"), [])
    steps(host, 900)  # 18 s of work
    host.emit("benchdog_run_ended", {})
    begun = time.monotonic()
    host.close()
    assert time.monotonic() - begun < 2.0
    assert heard[-1] == "ended"
    assert "events were dropped" in faults[0][1]


def test_one_that_was_left_behind_is_not_called_in_the_next_run(monkeypatch):
    monkeypatch.setattr(events, "PATIENCE", 0.1)
    faults, heard, gate = Faults(), [], threading.Event()
    host = Events(faults)

    def waits(step):
        heard.append(step)
        gate.wait(20)

    host.add("benchdog_step_ended", "waits", waits, ["step"])
    steps(host, 5)
    host.close()
    gate.set()
    steps(host, 5)
    host.close()
    assert heard == [0]
    assert len(faults) == 1


def test_a_second_run_is_heard_as_the_first():
    heard: list[int] = []
    host = Events(Faults())
    host.add("benchdog_step_ended", "hears", lambda step: heard.append(step), ["step"])
    for _ in range(2):
        steps(host, 3)
        host.close()
    assert heard == [0, 1, 2, 0, 1, 2]


@pytest.fixture(scope="module")
def heard(tmp_path_factory):
    """Return a folder with a run that an observer was notified of."""
    place = tmp_path_factory.mktemp("heard")
    run("--plugin", ear(place, WRITES), *TRAIN, "one", cwd=place)
    return place


def test_a_run_is_told_from_its_start_to_its_end(heard):
    first, *others = (heard / "runs" / "one.heard").read_text(encoding="utf-8").splitlines()
    assert first == "started, with recipe"
    assert [line for line in others if line.startswith("epoch")] == [f"epoch {i}, with recipe" for i in (1, 2, 3)]
    assert "step 1, with recipe" in others
    assert others[-1] == "ended, with recipe"


def test_two_ranks_tell_of_all_that_one_tells(tmp_path):
    name = ear(tmp_path, WRITES)
    words = (*TRAIN, "two", "--set", "backend.ranks=2", "--backend", "cpu", "--json")
    *printed, last = run("--plugin", name, *words, cwd=tmp_path).lines
    folder = tmp_path / "runs" / "two"
    assert (last["status"], list(folder.glob(".events-*"))) == ("finished", [])
    logged = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    for kind in ("step", "epoch"):  # through the process that started them
        told = [{**line, "kind": kind} for line in printed if line["event"] == f"{kind}_ended"]
        told = [{k: v for k, v in line.items() if k not in ("format", "event", "run")} for line in told]
        assert told == [line for line in logged if line["kind"] == kind] != []
    lines = (tmp_path / "runs" / "two.heard").read_text(encoding="utf-8").splitlines()
    facts = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    assert sum(line.startswith("step") for line in lines) == facts["steps_done"]
    assert [line for line in lines if line.startswith("epoch")] == [f"epoch {i}, with recipe" for i in (1, 2, 3)]
    assert lines[-1] == "ended, with recipe"


@pytest.mark.parametrize("body", ["time.sleep(10)", "raise OSError('no luck')"], ids=["blocked", "raising"])
def test_a_bad_observer_changes_neither_result_nor_exit_code(heard, tmp_path, monkeypatch, body):
    monkeypatch.setattr(events, "PATIENCE", 0.5)
    close, waited = Plugins.close, []

    def timed(self):
        begun = time.monotonic()
        close(self)
        waited.append(time.monotonic() - begun)

    monkeypatch.setattr(Plugins, "close", timed)
    done = run("--plugin", ear(tmp_path, body), *TRAIN, "bad", cwd=tmp_path)
    assert done.err.count("benchdog: plugin 'ear'") == 1
    assert 0 < sum(waited) < 1.5
    assert same(heard / "runs" / "one", tmp_path / "runs" / "bad")
    facts = json.loads((tmp_path / "runs" / "bad" / "run.json").read_text(encoding="utf-8"))
    assert facts["status"] == "finished"


def test_an_observer_that_hangs_does_not_keep_a_failed_run_from_its_exit_code(tmp_path):
    name = ear(tmp_path, "time.sleep(10)")
    words = [*TRAIN, "nan", "--lr", "1e38", "--set", "trainer.optimizer=SGD"]
    told = run_bench("--plugin", name, *words, cwd=tmp_path, code=1)
    assert "abandoned" in told.err
    assert "The loss is" in told.err


def test_a_stop_is_heard_after_its_checkpoint(tmp_path, monkeypatch):
    stop_at(monkeypatch, 15)
    run("--plugin", ear(tmp_path, WRITES), *TRAIN, "stopped", cwd=tmp_path, code=143)
    lines = (tmp_path / "runs" / "stopped.heard").read_text(encoding="utf-8").splitlines()
    assert lines[-2:] == ["checkpoint, with recipe", "stopped, with recipe"]
