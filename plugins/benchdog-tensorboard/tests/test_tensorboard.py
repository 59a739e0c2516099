"""Runs logged to TensorBoard, read back with its event reader."""

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


def environment(cwd: Path) -> dict[str, str]:
    """Return environment variables that enable this plugin alone."""
    patience = {"BENCHDOG_PATIENCE": "120"}  # seconds; enough on a busy machine
    return {"BENCHDOG_PLUGINS": "benchdog-tensorboard", "BENCHDOG_CACHE": str(cwd / "cache"), **patience}


def start(*args: object, cwd: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "benchdog", *map(str, args)]
    env = {**os.environ, **environment(cwd), "STALL_AT": "12"}
    return subprocess.Popen(command, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def bench(*args: object, cwd: Path, code: int = 0) -> str:
    with bare():
        done = in_process.run(*args, cwd=cwd, code=code, env=environment(cwd))
    assert "benchdog: plugin" not in done.err
    return done.out


def read_events(run: Path) -> EventAccumulator:
    events = EventAccumulator(str(run / "tensorboard"), size_guidance={"scalars": 0, "tensors": 0})
    events.Reload()
    return events


def series(run: Path, name: str) -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in read_events(run).Scalars(name)]


def read_log(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("board")
    bench(*TRAIN, "one", "--epochs", 3, cwd=place)
    return place


def test_curves_match_the_metrics_log(place):
    run = place / "runs" / "one"
    lines = read_log(run)
    steps = [(line["step"], line["loss"]) for line in lines if line["kind"] == "step"]
    epochs = [line for line in lines if line["kind"] == "epoch"]
    assert len(epochs) == 3
    points = series(run, "train/step_loss")
    assert [step for step, _ in points] == [step for step, _ in steps]
    assert [loss for _, loss in points] == pytest.approx([loss for _, loss in steps])
    for name in ("train.loss", "valid.loss", "valid.accuracy"):
        expected = [[line["epoch"], line[name]] for line in epochs]
        assert np.array(series(run, tag(name))) == pytest.approx(np.array(expected))


def test_recipe_is_logged_as_text_and_hparams(place):
    run = place / "runs" / "one"
    events = read_events(run)
    (text,) = events.Tensors("recipe/text_summary")
    assert "[trainer]" in text.tensor_proto.string_val[0].decode()
    contents = {name: events.summary_metadata[name].plugin_data.content for name in events.summary_metadata}
    data = HParamsPluginData.FromString(contents["_hparams_/session_start_info"])
    hparams = dict(data.session_start_info.hparams.items())
    assert hparams["loop.epochs"].number_value == 3
    assert hparams["model.name"].string_value == "linear"
    best = json.loads((run / "run.json").read_text(encoding="utf-8"))["best"]
    (best_point,) = series(run, "best/valid/accuracy")
    assert best_point == pytest.approx((0, best["value"]))


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="kills as POSIX does")
def test_killed_and_resumed_run_has_each_step_once(place):
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
        steps = [step for step, _ in series(run, name)]
        assert steps == [line[kind] for line in read_log(run) if line["kind"] == kind]


@pytest.mark.slow
def test_two_ranks_write_one_set_of_curves(place):
    bench(*TRAIN, "ranks", "--epochs", 1, "--backend", "cpu", "--set", "backend.ranks=2", cwd=place)
    run = place / "runs" / "ranks"
    assert [step for step, _ in series(run, "train/step_loss")] == [
        x["step"] for x in read_log(run) if x["kind"] == "step"
    ]
    assert len(series(run, "best/valid/accuracy")) == 1


def test_failed_run_logs_the_error(place):
    arguments = [*TRAIN, "nan", "--epochs", 2, "--lr", "1e38", "--set", "trainer.optimizer=SGD"]
    bench(*arguments, cwd=place, code=1)
    (text,) = read_events(place / "runs" / "nan").Tensors("error/text_summary")
    assert text.tensor_proto.string_val[0].decode().startswith("The loss is nan at step")


def test_full_disk_raises_without_a_traceback_of_the_writer_thread(tmp_path, monkeypatch, capfd):
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


def test_values_are_flat_and_of_hparams_types():
    recipe = {"seed": 1, "model": {"name": "mlp", "hidden": [8, 8]}, "loop": {"deep": {"on": True}}, "plugins": []}
    flat = values(recipe)
    assert flat == {"seed": 1, "model.name": "mlp", "model.hidden": "[8, 8]", "loop.deep.on": True, "plugins": "[]"}
    assert tag("valid.accuracy.cat") == "valid/accuracy.cat"
    assert math.isfinite(float(flat["seed"]))


def test_hook_module_is_lightweight_and_declares_its_contract():
    spec = find_spec("benchdog_tensorboard")
    assert spec is not None
    assert spec.origin is not None
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    assert any(isinstance(n, ast.Assign) and ast.unparse(n) == "CONTRACT = 1" for n in tree.body)
    script = "import sys, benchdog_tensorboard; print(sorted({'torch', 'tensorboard', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
