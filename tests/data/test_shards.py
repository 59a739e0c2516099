"""Sharded sources: the same run for any number of workers, and after stop and resume."""

import json
from pathlib import Path

import pytest

from support.in_process import run, same

pytestmark = pytest.mark.usefixtures("weights_alone")

PLUGIN = """
import signal
from pathlib import Path

import numpy as np

from benchdog.api import Field, Raw, Shard, SourceInfo, Spec, Target, hookimpl

CONTRACT = 1


@hookimpl
def benchdog_sources():
    return [SourceInfo(name="waves", summary="Waves in shards.", target=":Waves")]


class Waves:
    def spec(self):
        field = Field(kind="image", shape=(1, 4, 4), dtype="float32")
        return Spec(fields=(field,), target=Target(kind="class", classes=("slow", "fast")))

    def open(self):
        return {"train": Shards(7, 37), "valid": Shards(2, 20)}


class Shards:
    def __init__(self, count, samples):
        self.count, self.samples = count, samples

    def shards(self):
        return [Shard(name=f"{self.samples}-{i}") for i in range(self.count)]

    def read(self, shard, start):
        draw = np.random.default_rng(int(shard.name.replace("-", "")))
        for i in range(self.samples):
            wave = np.sin(np.arange(16) * (0.3 + i % 2) + draw.random(), dtype=np.float64)
            stop = Path(__file__).with_name("stop")
            training = callable(signal.getsignal(signal.SIGTERM))
            if i == 30 and shard.name == "37-5" and training and stop.exists():
                stop.unlink()
                signal.raise_signal(signal.SIGTERM)
            if i >= start:
                raw = wave.astype(np.float32).reshape(1, 4, 4)
                yield Raw(id=f"{shard.name}-{i}", fields={"input": raw}, target=i % 2)
"""
SETTINGS = ["--model", "linear", "--epochs", 2, "--batch-size", 8, "--quiet", "--set", "loader.streams=3"]
SHUFFLE = ["--set", "loader.shuffle=16"]


@pytest.fixture
def waves(tmp_path: Path) -> Path:
    """Write the plugin and return its path."""
    path = tmp_path / "waves.py"
    path.write_text(PLUGIN, encoding="utf-8")
    return path


def train(waves: Path, name: str, *more: object, code: int = 0) -> Path:
    run("--plugin", waves, "train", "waves", *SETTINGS, *SHUFFLE, *more, "--name", name, cwd=waves.parent, code=code)
    return waves.parent / "runs" / name


@pytest.mark.slow
def test_sharded_training_is_the_same_with_workers(waves):
    alone, helped = train(waves, "alone", "--workers", 0), train(waves, "helped", "--workers", 2)
    assert same(alone, helped)
    losses = [epoch_losses(folder) for folder in (alone, helped)]
    assert losses[0] == losses[1]
    assert losses[0][-1] < losses[0][0]


def test_sharded_training_is_the_same_after_stop_and_resume(waves):
    (waves.parent / "stop").touch()
    # The signal comes from reading a block, long before the model is trained on the last sample of the first epoch.
    stopped = train(waves, "stopped", "--workers", 0, code=143)
    facts = json.loads((stopped / "run.json").read_text())
    assert facts["status"] == "stopped"
    assert facts["epochs_done"] == 0
    run("train", "--resume", "stopped", "--quiet", cwd=waves.parent)
    assert same(stopped, train(waves, "whole", "--workers", 0))
    assert epoch_losses(stopped) == epoch_losses(waves.parent / "runs" / "whole")


def epoch_losses(folder: Path) -> list[float]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [line["train.loss"] for line in lines if line["kind"] == "epoch"]
