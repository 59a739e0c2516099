"""Batch-size finder, micro-batches on out-of-memory, and time budgets; all are written to the recipe."""

import json
import tomllib
from types import SimpleNamespace
from typing import Any

import pytest

from benchdog.errors import BadUsage
from benchdog.training.resolve import time_budget
from benchdog.training.resolve.batch_size import bytes_of
from benchdog.training.resolve.benchmark import StepTimes
from benchdog.training.resolve.time_budget import seconds_of
from support.in_process import run, same

pytestmark = pytest.mark.usefixtures("weights_alone")

HUNGRY = """
import torch
from torch import nn

class Net(nn.Module):
    LARGEST = 12
    def __init__(self, spec):
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(64, 24), NORMnn.ReLU(), nn.Linear(24, spec.outputs))

    def forward(self, x):
        if self.training and len(x) > self.LARGEST:
            raise torch.OutOfMemoryError("out of memory: tried to allocate 9 GiB")
        return self.body(x)
"""
TRAIN = ["train", "digits", "--model", "net.py:Net", "--epochs", 2, "--batch-size", 40]


def net(place, norm=""):
    (place / "net.py").write_text(HUNGRY.replace("NORM", norm), encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "size"), [("8GB", 8e9), ("500 MiB", 500 * 2**20), ("1.5g", 1.5e9), ("64kib", 65536)]
)
def test_bytes_of_parses_memory_sizes(text, size):
    assert bytes_of(text) == size


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("10m", 600), ("1h30m", 5400), ("0.5m", 30)])
def test_seconds_of_parses_durations(text, seconds):
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "8", "10 parsecs", "-5m", "m", "0s"])
def test_invalid_durations_and_memory_sizes_are_refused(text):
    with pytest.raises(BadUsage):
        seconds_of(text)
    if text != "8":
        with pytest.raises(BadUsage):
            bytes_of(text)


def test_out_of_memory_splits_batches_into_micro_batches(tmp_path):
    net(tmp_path)
    result = run(*TRAIN, "--name", "cut", cwd=tmp_path)
    assert "2 micro-batches for each batch, which is the same mathematics" in result.err
    assert "4 micro-batches for each batch, which is the same mathematics" in result.err
    recipe = tomllib.loads((tmp_path / "runs" / "cut" / "recipe.toml").read_text())
    assert recipe["loop"]["accumulate"] == 4
    run("train", tmp_path / "runs" / "cut" / "recipe.toml", "--name", "again", "--quiet", cwd=tmp_path)
    assert same(tmp_path / "runs" / "cut", tmp_path / "runs" / "again")


def test_out_of_memory_with_batch_norm_reports_the_batch_size_that_fits(tmp_path):
    net(tmp_path, "nn.BatchNorm1d(24), ")
    result = run(*TRAIN, "--name", "whole", cwd=tmp_path, code=1)
    assert "BatchNorm1d" in result.err
    assert "A batch of 10 fits" in result.err
    assert json.loads((tmp_path / "runs" / "whole" / "run.json").read_text())["status"] == "failed"


def test_auto_batch_size_fits_into_memory(tmp_path):
    auto = ["shapes", "--set", "source.count=400", "--set", "source.size=32", "--set", "loop.batch_size=auto"]
    small = run("plan", *auto, "--set", "loop.memory=20MB", "--json", cwd=tmp_path).json
    large = run("plan", *auto, "--json", cwd=tmp_path).json
    sizes = [plan["recipe"]["loop"]["batch_size"] for plan in (small, large)]
    assert 1 <= sizes[0] < sizes[1] <= 20
    assert f"batch size {sizes[0]}: " in str(small["notes"])
    assert f"batch size {sizes[1]}, so that an epoch has 20 steps: it fits into" in str(large["notes"])
    assert "doesn't fit into 1.0 MB" in run("train", *auto, "--memory", "1MB", cwd=tmp_path, code=2).err
    trained = run("train", "digits", "--model", "linear", "--epochs", 1, "--batch-size", "auto", cwd=tmp_path)
    (recipe,) = (tmp_path / "runs").glob("*/recipe.toml")
    size = tomllib.loads(recipe.read_text(encoding="utf-8"))["loop"]["batch_size"]
    assert f"batch size {size}, so that an epoch has 20 steps" in trained.err


def test_memory_limit_splits_batches_into_micro_batches(tmp_path):
    shapes = ["shapes", "--set", "source.count=60", "--set", "source.size=32"]
    words = ("--epochs", 1, "--batch-size", 16, "--memory", "26MB", "--name", "cut")
    result = run("train", *shapes, *words, cwd=tmp_path)
    accumulate = tomllib.loads((tmp_path / "runs" / "cut" / "recipe.toml").read_text())["loop"]["accumulate"]
    assert accumulate > 1
    assert f"a batch of 16 in {accumulate} micro-batches" in result.err
    limited = ("--set", "loop.batch_size=16", "--set", "loop.memory=26MB")
    assert "batch of 16" in run("plan", *shapes, *limited, cwd=tmp_path).err


def test_time_budget_sets_the_number_of_epochs(tmp_path):
    common = ["train", "digits", "--model", "mlp", "--set", "model.hidden=[8]"]
    result = run(*common, "--time", "3s", "--name", "timed", cwd=tmp_path)
    epochs = tomllib.loads((tmp_path / "runs" / "timed" / "recipe.toml").read_text())["loop"]["epochs"]
    assert f"{epochs} epochs fit into 3 s" in result.err
    facts = json.loads((tmp_path / "runs" / "timed" / "run.json").read_text())
    assert facts["epochs_done"] == epochs >= 1
    assert "doesn't fit" in run(*common, "--time", "0.01s", cwd=tmp_path, code=2).err
    assert "Both --time" in run(*common, "--time", "5s", "--epochs", 3, cwd=tmp_path, code=2).err


def test_time_budget_leaves_room_for_evaluations_and_the_report(monkeypatch):
    times = StepTimes(step=0.5, quick=0.5, evaluation=10.0, first=40.0)
    monkeypatch.setattr(time_budget, "measure_training", lambda components: times)
    recipe = SimpleNamespace(ranks=1)
    components: Any = SimpleNamespace(steps=SimpleNamespace(per_epoch=10), recipe=recipe, brings_data=False)
    # An epoch takes 15 s; 5 % of the time, 12 s for the report and the first 40 s are not the epochs'.
    decision = time_budget.fit_epochs(components, None, 600.0)
    assert decision is not None
    assert decision.values == {"loop.epochs": (570 - 12 - 40) // 15}
    with pytest.raises(BadUsage, match=r"An epoch takes about 15 s here, which doesn't fit into 60 s\."):
        time_budget.fit_epochs(components, None, 60.0)
