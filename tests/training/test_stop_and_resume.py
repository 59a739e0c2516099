"""Runs that stop, fail, go on and repeat: whatever happens, the weights are those of a run left alone."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from filelock import FileLock

from benchdog.runs import state
from benchdog.training.early_stopping import EarlyStopping
from support.in_process import run, same, stop_at, weights
from support.local_sources import write as write_source

NET = """
import os
import signal
import time

import torch
from torch import nn


class Spoilt(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient * float("nan")


class Net(nn.Module):
    def __init__(self, spec):
        super().__init__()
        inputs = 1
        for length in spec.fields[0].shape:
            inputs *= length
        first = nn.Linear(inputs, 16)
        self.layers = nn.Sequential(nn.Flatten(), first, nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2))
        self.last = nn.Linear(16, spec.outputs)
        self.calls = 0

    def forward(self, x):
        if self.training:
            self.calls += 1
            time.sleep(float(os.environ.get("NET_SLEEP", "0")))
            if self.calls == 30 and "NET_SIGNAL" in os.environ:
                signal.raise_signal(int(os.environ["NET_SIGNAL"]))
            if self.calls == int(os.environ.get("NET_NAN", "-1")):
                x = x * float("nan")
        x = self.last(self.layers(x))
        return Spoilt.apply(x) if self.training and self.calls == int(os.environ.get("NET_BAD_GRADIENT", "-1")) else x
"""
SETTINGS = [
    "--epochs", 4, "--batch-size", 32, "--quiet", "--set", "loop.log_every=5", "--set", "loop.checkpoint_steps=7",
    "--set", "trainer.schedule=cosine",
]  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a model file, and one run that nobody disturbed."""
    folder = tmp_path_factory.mktemp("training")
    (folder / "net.py").write_text(NET, encoding="utf-8")
    run("train", "digits", "--model", "net.py:Net", *SETTINGS, "--name", "whole", cwd=folder)
    return folder


@pytest.fixture
def train(place):
    """Start a run of the same recipe under another name."""

    def start(name, *more, code=0):
        shutil.rmtree(place / "runs" / name, ignore_errors=True)
        return run("train", "digits", "--model", "net.py:Net", *SETTINGS, "--name", name, *more, cwd=place, code=code)

    return start


def log(folder):
    """Give a run's metrics without their times."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return [{key: value for key, value in line.items() if key != "time"} for line in lines]


def facts(folder):
    return json.loads((folder / "run.json").read_text(encoding="utf-8"))


def equal(place, name):
    """Assert that a run ended as the undisturbed one did."""
    mine, whole = place / "runs" / name, place / "runs" / "whole"
    assert facts(mine)["status"] == "finished"
    assert same(mine, whole)
    assert log(mine) == log(whole)
    assert facts(mine)["best"] == facts(whole)["best"]
    last = [state.read(sorted((folder / "checkpoints").glob("step-*"))[-1]) for folder in (mine, whole)]
    for name, value in last[0]["model"].items():
        assert torch.equal(value, last[1]["model"][name]), name
    assert last[0]["step"] == last[1]["step"] == facts(whole)["steps_done"]


# --- a run that is left alone


def test_a_run_leaves_what_it_promises(place):
    folder = place / "runs" / "whole"
    told = facts(folder)
    assert told["status"] == "finished"
    assert told["epochs_done"] == 4
    assert told["error"] is None
    lines = log(folder)
    assert [line["epoch"] for line in lines if line["kind"] == "epoch"] == [1, 2, 3, 4]
    steps = [line["step"] for line in lines if line["kind"] == "step"]
    assert steps == list(range(5, told["steps_done"] + 1, 5))
    best = max((line for line in lines if line["kind"] == "epoch"), key=lambda line: line["valid.accuracy"])
    assert told["best"] == {"epoch": best["epoch"], "metric": "accuracy", "value": best["valid.accuracy"]}
    assert best["valid.accuracy"] > 0.6
    assert len(list((folder / "checkpoints").glob("step-*"))) == 2
    for name in (
        "recipe.toml",
        "environment.json",
        "log.txt",
        "evaluation-valid.json",
        "baseline.json",
        "report.html",
    ):
        assert (folder / name).is_file(), name
    assert (folder / "local" / "net.py").read_text(encoding="utf-8") == NET


def test_the_artifact_holds_the_best_epochs_weights(place, train, monkeypatch):
    """The second epoch is called the best, so that the best isn't the last."""
    verdicts = iter([True, True, False, False])
    monkeypatch.setattr(EarlyStopping, "_is_better", lambda self, value: next(verdicts))
    train("best")
    folder = place / "runs" / "best"
    accuracy = [line["valid.accuracy"] for line in log(folder) if line["kind"] == "epoch"][1]
    assert facts(folder)["best"] == {"epoch": 2, "metric": "accuracy", "value": accuracy}
    stored = state.read(folder / "checkpoints" / "best.safetensors")["model"]
    kept = weights(folder)
    assert stored
    for name, value in stored.items():
        assert (kept[f"model.{name}"] == value.numpy()).all()
    assert not same(folder, place / "runs" / "whole")


def test_the_same_recipe_gives_the_same_weights_and_another_seed_others(place, train):
    train("again")
    equal(place, "again")
    recipe = place / "runs" / "whole" / "recipe.toml"
    run("train", recipe, "--name", "repeated", "--quiet", cwd=place)
    equal(place, "repeated")
    train("other", "--seed", 1)
    assert not same(place / "runs" / "other", place / "runs" / "whole")


def test_early_stopping_by_patience(place):
    run(
        "train", "digits", "--model", "linear", "--epochs", 50, "--set", "loop.patience=2", "--lr", 1e-12,
        "--name", "patient", "--quiet", cwd=place,
    )  # fmt: skip
    told = facts(place / "runs" / "patient")
    assert told["status"] == "finished"
    assert told["epochs_done"] == 3
    assert told["best"]["epoch"] == 1


# --- stopped by a signal


@pytest.mark.parametrize(
    ("step", "where"), [(1, "step"), (17, "step"), (40, "step"), (41, "step"), (80, "evaluation"), (160, "step")]
)
def test_a_run_that_was_stopped_goes_on_to_the_bit(place, train, monkeypatch, step, where):
    per_epoch = facts(place / "runs" / "whole")["steps_done"] // 4
    assert per_epoch == 40, "the stops in this test are chosen for 40 steps: in the last of an epoch, in the first"
    stop_at(monkeypatch, step, where)
    said = train("stopped", code=143)
    folder = place / "runs" / "stopped"
    assert f"Stopped at step {step} " in said.err
    assert f"train --resume {Path('runs') / 'stopped'}" in said.err
    assert facts(folder)["status"] == "stopped"
    monkeypatch.undo()
    run("train", "--resume", "stopped", "--quiet", cwd=place)
    equal(place, "stopped")


def test_stopped_three_times_and_one_checkpoint_spoilt(place, train, monkeypatch):
    stop_at(monkeypatch, 20)
    train("often", code=143)
    folder = place / "runs" / "often"
    for step in (21, 90):
        monkeypatch.undo()
        stop_at(monkeypatch, step)
        run("train", "--resume", "often", "--quiet", cwd=place, code=143)
    monkeypatch.undo()
    newest = sorted((folder / "checkpoints").glob("step-*"))[-1]
    assert newest.name == "step-000000090.safetensors"
    newest.write_bytes(newest.read_bytes()[:-40])
    said = run("train", "--resume", "often", "--quiet", cwd=place)
    assert "step-000000090.safetensors" in said.err
    equal(place, "often")


def test_a_run_that_was_moved_goes_on_with_its_own_copy_of_the_code(place, train, monkeypatch, tmp_path):
    stop_at(monkeypatch, 20)
    train("away", code=143)
    monkeypatch.undo()
    shutil.move(place / "runs" / "away", tmp_path / "moved")
    recipe = (tmp_path / "moved" / "recipe.toml").read_text(encoding="utf-8")
    assert 'name = "local/net.py:Net"' in recipe
    run("train", "--resume", tmp_path / "moved", "--quiet", cwd=tmp_path)
    assert same(tmp_path / "moved", place / "runs" / "whole")
    run("train", tmp_path / "moved" / "recipe.toml", "--name", "repeated", "--quiet", cwd=tmp_path)
    assert same(tmp_path / "runs" / "repeated", place / "runs" / "whole")


def test_all_checkpoints_spoilt_is_said_and_nothing_begins_in_silence(place, train, monkeypatch):
    stop_at(monkeypatch, 20)
    train("spoilt", code=143)
    monkeypatch.undo()
    for path in (place / "runs" / "spoilt" / "checkpoints").glob("*"):
        path.write_bytes(b"spoilt")
    said = run("train", "--resume", "spoilt", "--quiet", cwd=place, code=5)
    assert "step-000000020.safetensors" in said.err
    assert "benchdog train" in said.err
    recipe = place / "runs" / "spoilt" / "recipe.toml"
    run("train", recipe, "--name", "afresh", "--quiet", cwd=place)
    equal(place, "afresh")


def start(place, name, *arguments, **env):
    """Start a run in a process of its own; wait until it has logged a few steps."""
    folder = place / "runs" / name
    shutil.rmtree(folder, ignore_errors=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "benchdog", *map(str, arguments)],
        cwd=place,
        env={**os.environ, **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    end = time.monotonic() + 120
    metrics = folder / "metrics.jsonl"
    while not (metrics.is_file() and metrics.read_text().count("\n") > 3):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)
    return process


def slow(place, name, *more):
    """Start the recipe of the undisturbed run, slow enough to be met in the middle."""
    arguments = ["train", "digits", "--model", "net.py:Net", *SETTINGS, "--name", name, *more]
    return start(place, name, *arguments, NET_SLEEP="0.02")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_writes_a_checkpoint_and_the_run_goes_on(place, train, monkeypatch, number, code):
    monkeypatch.setenv("NET_SIGNAL", str(int(number)))
    *events, last = train(f"signal-{code}", "--json", code=code).lines
    monkeypatch.delenv("NET_SIGNAL")
    assert {line["event"] for line in events} >= {"run_started", "step_ended", "checkpoint_saved"}
    assert last["error"]["code"] == code
    assert "a checkpoint was written" in last["error"]["message"]
    folder = place / "runs" / f"signal-{code}"
    assert facts(folder)["status"] == "stopped"
    run("train", "--resume", folder, "--quiet", cwd=place)
    equal(place, folder.name)


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX's")
def test_a_killed_run_goes_on_from_its_last_checkpoint(place):
    process = slow(place, "killed")
    process.kill()
    process.communicate(timeout=60)
    folder = place / "runs" / "killed"
    assert facts(folder)["status"] == "running"
    run("train", "--resume", "killed", "--quiet", cwd=place)
    equal(place, "killed")


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="process groups are POSIX's")
@pytest.mark.parametrize(
    ("source", "number", "code"),
    [("positions", signal.SIGINT, 130), ("positions", signal.SIGTERM, 143), ("streamed", signal.SIGINT, 130)],
)
def test_a_signal_reaches_the_workers_too_and_the_run_stops_well(tmp_path, source, number, code):
    """A terminal and a cluster signal the whole group: workers mustn't die of it while the loop waits for them."""
    write_source(tmp_path)
    settings = [
        "--plugin",
        "local_sources_plugin.py",
        "train",
        source,
        "--model",
        "linear",
        "--epochs",
        2,
        "--batch-size",
        8,
    ]
    run(*settings, "--name", "whole", "--workers", 0, "--set", "loader.memory=0", "--quiet", cwd=tmp_path)
    more = ["--set", "loader.memory=0", "--set", "loop.log_every=1", "--name", "group"]
    process = start(tmp_path, "group", *settings, "--workers", 2, *more, SOURCE_SLEEP="0.05")
    os.killpg(process.pid, number)
    _, err = process.communicate(timeout=90)
    assert process.returncode == code, err
    assert "Traceback" not in err
    assert "a checkpoint was written" in err
    run("train", "--resume", "group", "--quiet", cwd=tmp_path)
    assert same(tmp_path / "runs" / "group", tmp_path / "runs" / "whole")


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for the workers in /proc")
@pytest.mark.parametrize("source", ["positions", "streamed"])
def test_workers_end_with_a_parent_that_was_killed_while_they_began(tmp_path, source):
    """They hold its standard error, which is at its end once all of them are gone."""
    write_source(tmp_path)
    command = [sys.executable, "-m", "benchdog", "--plugin", "local_sources_plugin.py", "train", source]
    process = subprocess.Popen(
        [*command, "--model", "linear", "--workers", "2", "--set", "loader.memory=0", "--quiet"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    children, end = Path(f"/proc/{process.pid}/task/{process.pid}/children"), time.monotonic() + 60
    while len(children.read_text().split()) < 3:  # one of them looks after what all share
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.01)
    process.kill()
    process.communicate(timeout=30)
    assert process.returncode == -signal.SIGKILL


# --- what can go wrong


def test_a_loss_that_is_no_number_stops_with_its_step(place, train, monkeypatch):
    monkeypatch.setenv("NET_NAN", "24")
    said = train("nan", "--json", code=1)
    told = said.lines[-1]["error"]
    assert told["code"] == 1
    assert "loss is nan at step 24 (epoch 1)" in told["message"]
    assert "--lr" in told["hint"]
    folder = place / "runs" / "nan"
    assert facts(folder)["status"] == "failed"
    assert "step 24" in facts(folder)["error"]
    newest = sorted((folder / "checkpoints").glob("step-*"))[-1]
    assert newest.name == "step-000000021.safetensors"
    assert all(value.isfinite().all() for value in state.read(newest)["model"].values())
    assert all(line["loss"] == line["loss"] for line in log(folder))
    monkeypatch.delenv("NET_NAN")
    run("train", "--resume", "nan", "--quiet", cwd=place)
    equal(place, "nan")


def test_weights_that_are_no_numbers_never_reach_a_checkpoint(place, train, monkeypatch):
    """The loss of step 14 is fine; its gradient isn't, and a checkpoint is due just after that step."""
    monkeypatch.setenv("NET_BAD_GRADIENT", "14")
    said = train("gradient", code=1)
    folder = place / "runs" / "gradient"
    assert "step 14" in said.err
    newest = sorted((folder / "checkpoints").glob("step-*"))[-1]
    assert newest.name == "step-000000007.safetensors"
    monkeypatch.delenv("NET_BAD_GRADIENT")
    run("train", "--resume", "gradient", "--quiet", cwd=place)
    equal(place, "gradient")


def test_without_a_checkpoint_none_is_promised(place, train, monkeypatch):
    monkeypatch.setenv("NET_NAN", "3")
    said = train("early", code=1)
    assert "step 3" in said.err
    assert "checkpoint is kept" not in said.err
    assert list((place / "runs" / "early" / "checkpoints").iterdir()) == []


def test_a_run_that_another_process_uses_is_left_alone(place, tmp_path):
    folder = place / "runs" / "whole"
    before = facts(folder)
    with FileLock(folder / "lock"):
        for command in (("train", "--resume", "whole"), ("evaluate", "whole")):
            said = run(*command, cwd=place, code=1)
            assert "used by another process" in said.err
    assert facts(folder) == before


def test_a_finished_run_is_resumed_to_nothing(place):
    folder = place / "runs" / "whole"
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file() and path.name != "lock"}
    said = run("train", "--resume", "whole", "--json", cwd=place)
    assert said.json["status"] == "finished"
    assert said.json["artifact"] == str(folder / "artifact")
    after = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file() and path.name != "lock"}
    assert after == before


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["--resume", "whole", "--epochs", 9], 2, "continues a run unchanged"),
        (["--resume", "whle"], 2, "Did you mean 'whole'?"),
        (["digits", "--name", "whole"], 2, "There is a run 'whole' already"),
        (["digits", "--name", "a/b"], 2, "'a/b'"),
        (["digits", "--name", "last"], 2, "'last'"),
        (["digits", "--backend", "cuda"], 3, "not available"),
        (["digits", "--model", "unet"], 2, "unet"),
        (["digits", "--set", "loop.accumulate=500"], 2, "can't be split into 500 micro-batches"),
        (["digits", "--set", "trainer.optimizer=Adamm"], 2, "no optimizer 'Adamm'"),
        (["gone.csv"], 5, "no file gone.csv"),
        ([], 2, "Say what to train on"),
    ],
)
def test_mistakes_end_before_anything_is_spent(place, args, code, said):
    if torch.cuda.is_available() and "cuda" in args:
        pytest.skip("there is a card here")
    before = sorted(path.name for path in (place / "runs").iterdir())
    result = run("train", *args, "--quiet", cwd=place, code=code)
    assert said in result.err
    after = sorted(path.name for path in (place / "runs").iterdir())
    assert [name for name in after if name not in before] in ([], ["digits-cnn-1"])
