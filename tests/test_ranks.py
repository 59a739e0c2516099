"""Two ranks learn what one learns, and stop together."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inside import run, same, weights

MODEL = ["--model", "mlp", "--set", "trainer.optimiser=SGD", "--quiet"]
SETTINGS = [*MODEL, "--epochs", "40", "--lr", "0.05"]
TWO = ["--set", "backend.ranks=2"]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder of an uninterrupted run on two ranks."""
    place = tmp_path_factory.mktemp("two")
    run("train", "digits", *SETTINGS, *TWO, "--name", "two", cwd=place)
    return place / "runs" / "two"


def test_two_ranks_give_the_weights_of_one(tmp_path, two):
    run("train", "digits", *SETTINGS, "--name", "one", cwd=tmp_path)
    alone, shared = weights(tmp_path / "runs" / "one"), weights(two)
    assert alone.keys() == shared.keys()
    for name, values in alone.items():
        np.testing.assert_allclose(shared[name], values, rtol=1e-3, atol=1e-4, err_msg=name)
    logs = [(folder / "metrics.jsonl").read_text().splitlines() for folder in (tmp_path / "runs" / "one", two)]
    epochs = [[json.loads(line) for line in log if '"kind": "epoch"' in line] for log in logs]
    for mine, others in zip(*epochs, strict=True):
        assert mine["step"] == others["step"]
        assert mine["train.loss"] == pytest.approx(others["train.loss"], rel=1e-4)
    facts = [json.loads((folder / "run.json").read_text()) for folder in (tmp_path / "runs" / "one", two)]
    assert facts[0]["best"]["epoch"] == facts[1]["best"]["epoch"]
    assert facts[0]["steps_done"] == facts[1]["steps_done"] == epochs[0][-1]["step"]


def test_accumulation_gives_the_weights_of_whole_batches(tmp_path):
    for name, pieces in (("whole", 1), ("cut", 3)):
        more = ["--set", f"loop.accumulate={pieces}", "--epochs", 3, "--set", "trainer.optimiser=SGD"]
        run("train", "digits", "--model", "mlp", "--quiet", *more, "--name", name, cwd=tmp_path)
    whole, cut = (weights(tmp_path / "runs" / name) for name in ("whole", "cut"))
    for name, values in whole.items():
        np.testing.assert_allclose(cut[name], values, rtol=1e-4, atol=1e-6, err_msg=name)


@pytest.mark.skipif(os.name != "posix", reason="Windows has no SIGTERM that a process could answer")
@pytest.mark.parametrize("whom", ["parent", pytest.param("group", marks=pytest.mark.slow)])
def test_both_ranks_stop_and_go_on(tmp_path, two, whom):
    # A shell's Ctrl-C reaches every process of the group, a supervisor's SIGTERM the parent alone.
    command = [sys.executable, "-m", "benchdog", "train", "digits", *SETTINGS, *TWO, "--name", "stopped"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True)
    folder = tmp_path / "runs" / "stopped"
    wait_for_epochs(folder, 3, process)
    if whom == "parent":
        process.send_signal(signal.SIGTERM)
    else:
        os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == (143 if whom == "parent" else 130), said
    assert "Traceback" not in said
    assert "--resume" in said
    assert len(list((folder / "checkpoints").glob("step-*"))) == 1
    assert not list(folder.rglob("*.tmp"))
    facts = json.loads((folder / "run.json").read_text())
    assert facts["status"] == "stopped"
    assert facts["epochs_done"] >= 3
    if whom == "group":
        return
    run("train", "--resume", "stopped", "--quiet", cwd=tmp_path)
    assert same(folder, two)


@pytest.mark.skipif(os.name != "posix", reason="kills as POSIX does")
def test_ranks_dont_outlive_their_parent(tmp_path):
    settings = [*MODEL, *TWO, "--epochs", "100000", "--name", "killed"]
    process = subprocess.Popen([sys.executable, "-m", "benchdog", "train", "digits", *settings], cwd=tmp_path)
    folder = tmp_path / "runs" / "killed"
    wait_for_epochs(folder, 1, process)
    process.kill()
    process.wait()
    time.sleep(1)
    length = (folder / "metrics.jsonl").stat().st_size
    time.sleep(1)
    assert (folder / "metrics.jsonl").stat().st_size == length


def test_a_rank_that_fails_tells_why(tmp_path):
    told = run("train", "digits", *MODEL, *TWO, "--epochs", 2, "--lr", "1e30", cwd=tmp_path, code=1)
    assert "The loss is nan at step 2 (epoch 1)" in told.err


def wait_for_epochs(folder: Path, count: int, process: subprocess.Popen[Any]) -> None:
    """Wait until a run has logged so many epochs."""
    log, end = folder / "metrics.jsonl", time.monotonic() + 120
    while not log.is_file() or log.read_text().count('"kind": "epoch"') < count:
        assert process.poll() is None, "it ended too early"
        assert time.monotonic() < end
        time.sleep(0.02)
