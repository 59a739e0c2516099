"""`train --json`: events as JSON lines, all of them, and nothing else on stdout; the result is the last line."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchdog.system.json_output import Lines, followed
from support.command import TESTS, Bench
from support.in_process import run, stop_at

NOISY = """
import os
import subprocess
import sys

import torch
from benchdog.api import ModelInfo, hookimpl

CONTRACT = 1
print("noise at import")

class Net(torch.nn.Module):
    def __init__(self, outputs):
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, outputs))

    def forward(self, x):
        print("noise in the model")
        return self.layers(x)

def build(spec, options=None):
    os.write(1, b"noise below Python\\n")
    subprocess.run([sys.executable, "-c", "print('noise of a child')"], check=True)
    return Net(spec.outputs)

@hookimpl
def benchdog_epoch_ended(epoch):
    print("noise of an observer")

@hookimpl
def benchdog_models():
    return [ModelInfo(name="noisy", summary="Prints.", target=":build")]
"""
pytestmark = pytest.mark.usefixtures("weights_alone")
NOISES = ("at import", "in the model", "below Python", "of a child", "of an observer")
QUICK = ("train", "digits", "--model", "linear", "--quiet", "--set", "loop.log_every=3")


def logged(folder: Path, kind: str) -> list[dict[str, object]]:
    """Return the lines of one kind of a run's metrics log, without the kind."""
    lines = map(json.loads, (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
    return [{k: v for k, v in line.items() if k != "kind"} for line in lines if line["kind"] == kind]


def read_events(lines: list[dict[str, object]], event: str) -> list[dict[str, object]]:
    """Return the fields of all events of one name."""
    selected = [line for line in lines if line.get("event") == event]
    return [{k: v for k, v in line.items() if k not in ("format", "event", "run")} for line in selected]


def test_events_are_complete_and_alone_on_stdout_despite_printing_plugins(process: Bench, tmp_path: Path) -> None:
    (tmp_path / "noisy.py").write_text(NOISY, encoding="utf-8")
    words = ("--plugin", "noisy.py", "train", "digits", "--model", "noisy", "--epochs", 2, "--name", "mine")
    result = process(*words, "--set", "loop.log_every=3", "--set", "loop.checkpoint_epochs=1", "--json", "--quiet",
                     module="support.bare")  # fmt: skip
    for noise in NOISES:
        assert f"noise {noise}" in result.err
    folder = tmp_path / "runs" / "mine"
    *events, last = result.lines
    others = [line["event"] for line in events if line["event"] not in ("step_ended", "checkpoint_saved")]
    assert others == ["run_started", "epoch_ended", "epoch_ended", "run_ended"]
    ended, saved = (
        [line["step"] for line in read_events(events, event)] for event in ("epoch_ended", "checkpoint_saved")
    )
    assert saved == [*ended, ended[-1]]  # the run's last too; they come in their order, when the disk has them
    assert events[-1]["event"] == "run_ended"
    assert {line["run"] for line in events} == {"mine"}
    assert events[0]["folder"] == str(folder)
    for event, kind in (("step_ended", "step"), ("epoch_ended", "epoch")):
        assert read_events(events, event) == logged(folder, kind) != []
    assert (last["status"], last["artifact"]) == ("finished", str(folder / "artifact"))


def test_resumed_run_emits_all_remaining_events(tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        stop_at(patched, 20)
        stopped = run(*QUICK, "--epochs", 3, "--name", "on", "--json", cwd=tmp_path, code=143).lines
    assert (stopped[-2]["event"], stopped[-1]["error"]["code"]) == ("run_stopped", 143)
    resumed = run("train", "--resume", "on", "--json", "--quiet", cwd=tmp_path).lines
    assert [resumed[0]["event"], resumed[-1]["status"]] == ["run_started", "finished"]
    folder = tmp_path / "runs" / "on"
    steps = read_events(stopped, "step_ended") + read_events(resumed, "step_ended")
    assert [line["step"] for line in steps] == [line["step"] for line in logged(folder, "step")]
    assert run("train", "--resume", "on", "--json", "--quiet", cwd=tmp_path).lines[0]["status"] == "finished"


def test_events_of_repeated_runs_name_their_run(tmp_path):
    *events, last = run(*QUICK, "--epochs", 1, "--repeat", 2, "--name", "r", "--json", cwd=tmp_path).lines
    assert {line["run"] for line in events} == {"r-seed-0", "r-seed-1"}
    assert last["name"] == "r"
    for name in ("r-seed-0", "r-seed-1"):
        mine = [line for line in events if line["run"] == name]
        assert read_events(mine, "epoch_ended") == logged(tmp_path / "runs" / name, "epoch")


def test_run_failed_event_precedes_the_error_document(tmp_path):
    *events, last = run(*QUICK, "--epochs", 2, "--lr", 1e39, "--json", cwd=tmp_path, code=1).lines
    assert events[-1]["event"] == "run_failed"
    assert events[-1]["error"] == last["error"]["message"]


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="behavior of closed pipes is POSIX's")
def test_closed_stdout_does_not_stop_the_run(tmp_path):
    command = [sys.executable, "-m", "support.bare", *QUICK, "--epochs", "1", "--name", "on", "--json"]
    env = {**os.environ, "PYTHONPATH": TESTS}
    process = subprocess.Popen(
        command, cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["event"] == "run_started"
    process.stdout.close()
    assert process.stderr is not None
    stderr = process.stderr.read()
    process.stderr.close()
    assert (process.wait(timeout=60), stderr) == (0, "")
    assert json.loads((tmp_path / "runs" / "on" / "run.json").read_text(encoding="utf-8"))["status"] == "finished"


def test_all_lines_of_another_process_are_forwarded(tmp_path):
    path = tmp_path / "lines"
    got: list[str] = []
    with followed(path, got.append), path.open("a", encoding="utf-8") as file:
        for number in range(1000):
            file.write(f"{number}\n")
    assert got == [f"{number}\n" for number in range(1000)]
    assert not path.exists()


def test_nan_is_written_as_null(tmp_path):
    class Run:
        name = "r"

    with (tmp_path / "lines").open("w", encoding="utf-8") as sink:
        Lines(sink)("benchdog_step_ended", {"run": Run, "line": {"step": 1, "loss": float("nan")}})
    event = json.loads((tmp_path / "lines").read_text(encoding="utf-8"))
    assert event == {"format": 1, "event": "step_ended", "run": "r", "step": 1, "loss": None}
