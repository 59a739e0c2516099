"""Stopped, failed and killed runs resume with the weights of an uninterrupted run; recipes are reproducible."""

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
from support.bare import whole
from support.in_process import run, same, stop_at, weights
from support.local_sources import write as write_source

pytestmark = pytest.mark.usefixtures("weights_alone")

NET = """
import os
import signal
import time

import torch
from torch import nn


class NaNGradient(torch.autograd.Function):
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
        bad = self.training and self.calls == int(os.environ.get("NET_BAD_GRADIENT", "-1"))
        return NaNGradient.apply(x) if bad else x
"""
SETTINGS = [
    "--epochs", 4, "--batch-size", 32, "--quiet", "--set", "loop.log_every=5", "--set", "loop.checkpoint_steps=7",
    "--set", "trainer.schedule=cosine",
]  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Return a folder with a model file and an uninterrupted run `whole`."""
    folder = tmp_path_factory.mktemp("training")
    (folder / "net.py").write_text(NET, encoding="utf-8")
    with whole():
        run("train", "digits", "--model", "net.py:Net", *SETTINGS, "--name", "whole", cwd=folder)
    return folder


@pytest.fixture
def train(place):
    """Return a function that trains the same recipe under another name."""

    def start(name, *more, code=0):
        shutil.rmtree(place / "runs" / name, ignore_errors=True)
        return run("train", "digits", "--model", "net.py:Net", *SETTINGS, "--name", name, *more, cwd=place, code=code)

    return start


def log(folder):
    """Return a run's metrics log without timestamps."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return [{key: value for key, value in line.items() if key != "time"} for line in lines]


def facts(folder):
    return json.loads((folder / "run.json").read_text(encoding="utf-8"))


def assert_equal_to_whole(place, name):
    """Assert that a run ended like the uninterrupted one."""
    mine, whole = place / "runs" / name, place / "runs" / "whole"
    assert facts(mine)["status"] == "finished"
    assert same(mine, whole)
    assert log(mine) == log(whole)
    assert facts(mine)["best"] == facts(whole)["best"]
    last = [state.read(sorted((folder / "checkpoints").glob("step-*"))[-1]) for folder in (mine, whole)]
    for name, value in last[0]["model"].items():
        assert torch.equal(value, last[1]["model"][name]), name
    assert last[0]["step"] == last[1]["step"] == facts(whole)["steps_done"]


# --- uninterrupted runs


def test_finished_run_has_all_files_and_logs(place):
    folder = place / "runs" / "whole"
    run_facts = facts(folder)
    assert run_facts["status"] == "finished"
    assert run_facts["epochs_done"] == 4
    assert run_facts["error"] is None
    lines = log(folder)
    assert [line["epoch"] for line in lines if line["kind"] == "epoch"] == [1, 2, 3, 4]
    steps = [line["step"] for line in lines if line["kind"] == "step"]
    assert steps == list(range(5, run_facts["steps_done"] + 1, 5))
    best = max((line for line in lines if line["kind"] == "epoch"), key=lambda line: line["valid.accuracy"])
    assert run_facts["best"] == {"epoch": best["epoch"], "metric": "accuracy", "value": best["valid.accuracy"]}
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


def test_artifact_has_the_weights_of_the_best_epoch(place, train, monkeypatch):
    """The second epoch is made the best, so that the best isn't the last."""
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


def test_same_recipe_is_bit_identical_and_another_seed_is_not(place, train):
    train("again")
    assert_equal_to_whole(place, "again")
    recipe = place / "runs" / "whole" / "recipe.toml"
    run("train", recipe, "--name", "repeated", "--quiet", cwd=place)
    assert_equal_to_whole(place, "repeated")
    train("other", "--seed", 1)
    assert not same(place / "runs" / "other", place / "runs" / "whole")


def test_early_stopping_by_patience(place):
    run(
        "train", "digits", "--model", "linear", "--epochs", 50, "--set", "loop.patience=2", "--lr", 1e-12,
        "--name", "patient", "--quiet", cwd=place,
    )  # fmt: skip
    run_facts = facts(place / "runs" / "patient")
    assert run_facts["status"] == "finished"
    assert run_facts["epochs_done"] == 3
    assert run_facts["best"]["epoch"] == 1


# --- stopped by a signal


@pytest.mark.parametrize(
    ("step", "where"), [(1, "step"), (17, "step"), (40, "step"), (41, "step"), (80, "evaluation"), (160, "step")]
)
def test_stopped_run_resumes_bit_identical(place, train, monkeypatch, step, where):
    per_epoch = facts(place / "runs" / "whole")["steps_done"] // 4
    assert per_epoch == 40, "the stops in this test are chosen for 40 steps: in the last of an epoch, in the first"
    stop_at(monkeypatch, step, where)
    result = train("stopped", code=143)
    folder = place / "runs" / "stopped"
    assert f"Stopped at step {step} " in result.err
    assert f"train --resume {Path('runs') / 'stopped'}" in result.err
    assert facts(folder)["status"] == "stopped"
    monkeypatch.undo()
    run("train", "--resume", "stopped", "--quiet", cwd=place)
    assert_equal_to_whole(place, "stopped")


def test_run_stopped_three_times_with_a_damaged_checkpoint(place, train, monkeypatch):
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
    result = run("train", "--resume", "often", "--quiet", cwd=place)
    assert "step-000000090.safetensors" in result.err
    assert_equal_to_whole(place, "often")


def test_moved_run_resumes_with_its_copy_of_the_code(place, train, monkeypatch, tmp_path):
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


def test_resume_refuses_a_run_with_only_damaged_checkpoints(place, train, monkeypatch):
    stop_at(monkeypatch, 20)
    train("damaged", code=143)
    monkeypatch.undo()
    for path in (place / "runs" / "damaged" / "checkpoints").glob("*"):
        path.write_bytes(b"damaged")
    result = run("train", "--resume", "damaged", "--quiet", cwd=place, code=5)
    assert "step-000000020.safetensors" in result.err
    assert "benchdog train" in result.err
    recipe = place / "runs" / "damaged" / "recipe.toml"
    run("train", recipe, "--name", "again-from-recipe", "--quiet", cwd=place)
    assert_equal_to_whole(place, "again-from-recipe")


def start(place, name, *arguments, **env):
    """Start a run in a separate process; wait until it has logged a few steps."""
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
    """Start the recipe of the uninterrupted run, slow enough to be killed in the middle."""
    arguments = ["train", "digits", "--model", "net.py:Net", *SETTINGS, "--name", name, *more]
    return start(place, name, *arguments, NET_SLEEP="0.02")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_signal_writes_a_checkpoint_and_the_run_resumes(place, train, monkeypatch, number, code):
    monkeypatch.setenv("NET_SIGNAL", str(int(number)))
    *events, last = train(f"signal-{code}", "--json", code=code).lines
    monkeypatch.delenv("NET_SIGNAL")
    assert {line["event"] for line in events} >= {"run_started", "step_ended", "checkpoint_saved"}
    assert last["error"]["code"] == code
    assert "a checkpoint was written" in last["error"]["message"]
    folder = place / "runs" / f"signal-{code}"
    assert facts(folder)["status"] == "stopped"
    run("train", "--resume", folder, "--quiet", cwd=place)
    assert_equal_to_whole(place, folder.name)


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX's")
def test_killed_run_resumes_from_its_last_checkpoint(place):
    process = slow(place, "killed")
    process.kill()
    process.communicate(timeout=60)
    folder = place / "runs" / "killed"
    assert facts(folder)["status"] == "running"
    run("train", "--resume", "killed", "--quiet", cwd=place)
    assert_equal_to_whole(place, "killed")


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="process groups are POSIX's")
@pytest.mark.parametrize(
    ("source", "number", "code"),
    [("positions", signal.SIGINT, 130), ("positions", signal.SIGTERM, 143), ("streamed", signal.SIGINT, 130)],
)
def test_signal_to_the_process_group_stops_a_run_with_workers(tmp_path, source, number, code):
    """Terminals and clusters signal the whole process group: workers must not die while the loop waits for them."""
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
def test_workers_exit_if_their_parent_is_killed_while_they_start(tmp_path, source):
    """The workers hold its standard error, which is closed once all of them have exited."""
    write_source(tmp_path)
    command = [sys.executable, "-m", "benchdog", "--plugin", "local_sources_plugin.py", "train", source]
    process = subprocess.Popen(
        [*command, "--model", "linear", "--workers", "2", "--set", "loader.memory=0", "--quiet"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    children, end = Path(f"/proc/{process.pid}/task/{process.pid}/children"), time.monotonic() + 60
    while len(children.read_text().split()) < 3:  # one of them is the resource tracker
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.01)
    process.kill()
    process.communicate(timeout=30)
    assert process.returncode == -signal.SIGKILL


# --- failures


def test_nan_loss_fails_the_run_with_its_step(place, train, monkeypatch):
    monkeypatch.setenv("NET_NAN", "24")
    result = train("nan", "--json", code=1)
    error = result.lines[-1]["error"]
    assert error["code"] == 1
    assert "loss is nan at step 24 (epoch 1)" in error["message"]
    assert "--lr" in error["hint"]
    folder = place / "runs" / "nan"
    assert facts(folder)["status"] == "failed"
    assert "step 24" in facts(folder)["error"]
    newest = sorted((folder / "checkpoints").glob("step-*"))[-1]
    assert newest.name == "step-000000021.safetensors"
    assert all(value.isfinite().all() for value in state.read(newest)["model"].values())
    assert all(line["loss"] == line["loss"] for line in log(folder))
    monkeypatch.delenv("NET_NAN")
    run("train", "--resume", "nan", "--quiet", cwd=place)
    assert_equal_to_whole(place, "nan")


def test_non_finite_weights_are_not_written_to_a_checkpoint(place, train, monkeypatch):
    """The loss of step 14 is fine; its gradient isn't, and a checkpoint is due just after that step."""
    monkeypatch.setenv("NET_BAD_GRADIENT", "14")
    result = train("gradient", code=1)
    folder = place / "runs" / "gradient"
    assert "step 14" in result.err
    newest = sorted((folder / "checkpoints").glob("step-*"))[-1]
    assert newest.name == "step-000000007.safetensors"
    monkeypatch.delenv("NET_BAD_GRADIENT")
    run("train", "--resume", "gradient", "--quiet", cwd=place)
    assert_equal_to_whole(place, "gradient")


def test_failure_without_a_checkpoint_mentions_none(place, train, monkeypatch):
    monkeypatch.setenv("NET_NAN", "3")
    result = train("early", code=1)
    assert "step 3" in result.err
    assert "checkpoint is kept" not in result.err
    assert list((place / "runs" / "early" / "checkpoints").iterdir()) == []


def test_run_locked_by_another_process_is_refused(place, tmp_path):
    folder = place / "runs" / "whole"
    before = facts(folder)
    with FileLock(folder / "lock"):
        for command in (("train", "--resume", "whole"), ("evaluate", "whole")):
            result = run(*command, cwd=place, code=1)
            assert "used by another process" in result.err
    assert facts(folder) == before


def test_resuming_a_finished_run_changes_no_files(place):
    folder = place / "runs" / "whole"
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file() and path.name != "lock"}
    result = run("train", "--resume", "whole", "--json", cwd=place)
    assert result.json["status"] == "finished"
    assert result.json["artifact"] == str(folder / "artifact")
    after = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file() and path.name != "lock"}
    assert after == before


@pytest.mark.parametrize(
    ("args", "code", "message"),
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
def test_usage_errors_fail_before_a_run_is_created(place, args, code, message):
    if torch.cuda.is_available() and "cuda" in args:
        pytest.skip("a GPU is available")
    before = sorted(path.name for path in (place / "runs").iterdir())
    result = run("train", *args, "--quiet", cwd=place, code=code)
    assert message in result.err
    after = sorted(path.name for path in (place / "runs").iterdir())
    assert [name for name in after if name not in before] in ([], ["digits-cnn-1"])
