"""Runs are read back with TensorBoard's own reader."""

import ast
import errno
import json
import math
import os
import subprocess
import sys
import threading
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from benchdog.api import RunFacts
from benchdog_tensorboard.board import Board, tag, values
from support import in_process
from support.bare import bare
from support.stalling import NET

TRAIN = ("train", "digits", "--model", "linear", "--quiet", "--set", "loop.log_every=1", "--name")
KILLED = (
    *("train", "digits", "--model", "net.py:Net", "--quiet", "--epochs", "2", "--batch-size", "64"),
    *("--set", "loop.log_every=2", "--set", "loop.checkpoint_steps=5", "--name"),
)


def watched(cwd: Path) -> dict[str, str]:
    """Return the environment of a command with this plugin alone."""
    patience = {"BENCHDOG_PATIENCE": "120"}  # for a machine that does other things too
    return {"BENCHDOG_PLUGINS": "benchdog-tensorboard", "BENCHDOG_CACHE": str(cwd / "cache"), **patience}


def start(*args: object, cwd: Path) -> subprocess.Popen[str]:
    words, full = (
        [sys.executable, "-m", "benchdog", *map(str, args)],
        {**os.environ, **watched(cwd), "STALL_AT": "12"},
    )
    return subprocess.Popen(words, cwd=cwd, env=full, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def bench(*args: object, cwd: Path, code: int = 0) -> str:
    with bare():
        done = in_process.run(*args, cwd=cwd, code=code, env=watched(cwd))
    assert "benchdog: plugin" not in done.err
    return done.out


def read(run: Path) -> EventAccumulator:
    found = EventAccumulator(str(run / "tensorboard"), size_guidance={"scalars": 0, "tensors": 0})
    found.Reload()
    return found


def series(run: Path, name: str) -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in read(run).Scalars(name)]


def log(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("board")
    bench(*TRAIN, "one", "--epochs", 3, cwd=place)
    return place


def test_curves_are_those_of_the_runs_own_log(place):
    run = place / "runs" / "one"
    lines = log(run)
    steps = [(line["step"], line["loss"]) for line in lines if line["kind"] == "step"]
    epochs = [line for line in lines if line["kind"] == "epoch"]
    assert len(epochs) == 3
    told = series(run, "train/step_loss")
    assert [step for step, _ in told] == [step for step, _ in steps]
    assert [loss for _, loss in told] == pytest.approx([loss for _, loss in steps])
    for name in ("train.loss", "valid.loss", "valid.accuracy"):
        wanted = [[line["epoch"], line[name]] for line in epochs]
        assert np.array(series(run, tag(name))) == pytest.approx(np.array(wanted))


def test_the_recipe_is_there_as_text_and_as_values(place):
    run = place / "runs" / "one"
    found = read(run)
    (text,) = found.Tensors("recipe/text_summary")
    assert "[trainer]" in text.tensor_proto.string_val[0].decode()
    contents = {name: found.summary_metadata[name].plugin_data.content for name in found.summary_metadata}
    data = HParamsPluginData.FromString(contents["_hparams_/session_start_info"])
    kept = dict(data.session_start_info.hparams.items())
    assert kept["loop.epochs"].number_value == 3
    assert kept["model.name"].string_value == "linear"
    best = json.loads((run / "run.json").read_text(encoding="utf-8"))["best"]
    (best_point,) = series(run, "best/valid/accuracy")
    assert best_point == pytest.approx((0, best["value"]))


@pytest.mark.skipif(os.name != "posix", reason="kills as POSIX does")
def test_a_killed_and_resumed_run_draws_no_step_twice(place):
    (place / "net.py").write_text(NET, encoding="utf-8")
    process = start(*KILLED, "killed", cwd=place)
    run, end = place / "runs" / "killed", time.monotonic() + 120
    while len(list((run / "checkpoints").glob("step-*"))) < 2 or not list((run / "tensorboard").glob("*")):
        assert time.monotonic() < end
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.kill()
    process.communicate()
    bench("train", "--resume", "killed", "--quiet", cwd=place)
    assert len(list((run / "tensorboard").glob("events.out.*"))) == 2
    for name, kind in (("train/step_loss", "step"), ("valid/accuracy", "epoch")):
        told = [at for at, _ in series(run, name)]
        assert told == [line[kind] for line in log(run) if line["kind"] == kind]


def test_two_ranks_write_one_set_of_curves(place):
    bench(*TRAIN, "ranks", "--epochs", 1, "--backend", "cpu", "--set", "backend.ranks=2", cwd=place)
    run = place / "runs" / "ranks"
    assert [at for at, _ in series(run, "train/step_loss")] == [x["step"] for x in log(run) if x["kind"] == "step"]
    assert len(series(run, "best/valid/accuracy")) == 1


def test_a_failed_run_says_why(place):
    words = [*TRAIN, "nan", "--epochs", 2, "--lr", "1e38", "--set", "trainer.optimizer=SGD"]
    bench(*words, cwd=place, code=1)
    (text,) = read(place / "runs" / "nan").Tensors("error/text_summary")
    assert text.tensor_proto.string_val[0].decode().startswith("The loss is nan at step")


def test_a_full_disk_is_an_error_of_the_observer_without_a_trace(tmp_path, monkeypatch, capfd):
    def full(self, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("tensorboard.summary.writer.record_writer.RecordWriter.write", full)
    monkeypatch.setattr(threading, "excepthook", threading.__excepthook__)
    (tmp_path / "recipe.toml").write_text("seed = 0\n", encoding="utf-8")
    (tmp_path / "metrics.jsonl").write_text("", encoding="utf-8")
    facts = RunFacts(name="full", folder=str(tmp_path), source="digits", model="cnn", task="classification", epochs=1)
    before = set(threading.enumerate())
    with pytest.raises(OSError, match="No space left"):
        Board(facts).catch_up(now=True)
    for thread in set(threading.enumerate()) - before:
        thread.join(10)
    assert capfd.readouterr().err == ""


def test_values_are_flat_and_of_kinds_that_tensorboard_takes():
    recipe = {"seed": 1, "model": {"name": "mlp", "hidden": [8, 8]}, "loop": {"deep": {"on": True}}, "plugins": []}
    told = values(recipe)
    assert told == {"seed": 1, "model.name": "mlp", "model.hidden": "[8, 8]", "loop.deep.on": True, "plugins": "[]"}
    assert tag("valid.accuracy.cat") == "valid/accuracy.cat"
    assert math.isfinite(float(told["seed"]))


def test_the_hook_module_is_light_and_names_its_contract():
    spec = find_spec("benchdog_tensorboard")
    assert spec is not None
    assert spec.origin is not None
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    assert any(isinstance(n, ast.Assign) and ast.unparse(n) == "CONTRACT = 1" for n in tree.body)
    script = "import sys, benchdog_tensorboard; print(sorted({'torch', 'tensorboard', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
