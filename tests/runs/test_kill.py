"""Killed runs resume bit-identical, and no file is corrupt.

Kills at random moments, with every kind of trainer, loader and source: scripts/kill_drill.py.
"""

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchdog.runs import state
from support.in_process import run, same
from support.thirdparty.package import recipe, single_file

pytestmark = pytest.mark.skipif(os.name != "posix", reason="kills as POSIX does")
SMALL = """\
source = "digits"
model = { name = "cnn", width = 4, hidden = 32, dropout = 0.1 }
loop = { epochs = 40, batch_size = 32, checkpoint_steps = 7, log_every = 5 }
"""
# 4 million parameters with two moments each: 50 MB a checkpoint, written at every step.
LARGE = """\
source = "digits"
model = { name = "mlp", hidden = [2048, 2048] }
trainer = { name = "supervised", schedule = "cosine" }
loop = { epochs = 3, batch_size = 64, checkpoint_steps = 1, log_every = 5 }
"""


@dataclass
class Drill:
    """A run that is killed repeatedly."""

    place: Path
    arguments: list[str]
    kills: int = 0
    mid_write: int = 0
    process: subprocess.Popen[bytes] | None = None

    @property
    def folder(self) -> Path:
        return self.place / "runs" / "drilled"

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    def newest(self) -> int:
        """Return the step of the newest checkpoint, or 0 without any."""
        names = [path.name for path in self.checkpoints.glob("step-*.safetensors")]
        return max((int(name[5:14]) for name in names), default=0)

    def writing(self) -> bool:
        """Return whether a checkpoint is partially written."""
        return any(self.checkpoints.glob(".step-*.tmp"))

    def start(self) -> None:
        """Start or resume the run."""
        self.place.mkdir(exist_ok=True)
        what = ["train", "--resume", "drilled"] if self.folder.exists() else [*self.arguments, "--name", "drilled"]
        command = [sys.executable, "-m", "benchdog", *what, "--quiet"]
        self.process = subprocess.Popen(command, cwd=self.place, stderr=subprocess.PIPE)

    def kill(self, when: Callable[[], bool], wait: float = 0.0) -> None:
        """Kill the run `wait` seconds after `when` is true, then check every file."""
        assert self.process is not None
        end = time.monotonic() + 120
        while not when():
            assert self.process.poll() is None, self.process.communicate()[1].decode()
            assert time.monotonic() < end
            time.sleep(0.004)
        time.sleep(wait)
        self.process.kill()
        _, stderr = self.process.communicate()
        assert self.process.returncode == -9, "it ended before the kill"
        assert b"Traceback" not in stderr, stderr.decode()
        self.kills += 1
        self.mid_write += self.writing()
        self.look()

    def look(self) -> None:
        """Check that checkpoints, run.json and the metrics log can be read."""
        for path in self.checkpoints.glob("*.safetensors"):
            assert state.read(path)
        assert json.loads((self.folder / "run.json").read_text())["status"] == "running"
        path = self.folder / "metrics.jsonl"
        log = path.read_bytes() if path.exists() else b""
        for line in log[: log.rfind(b"\n") + 1].splitlines():
            assert json.loads(line)

    def finish(self) -> None:
        """Resume to the end; check that no partial file is left."""
        self.process = None
        run("train", "--resume", "drilled", "--quiet", cwd=self.place)
        assert json.loads((self.folder / "run.json").read_text())["status"] == "finished"
        assert not list(self.folder.rglob(".*"))
        assert not list(self.checkpoints.glob("*.damaged"))

    def kill_mid_epoch(self, progress: int, draw: random.Random) -> None:
        """Kill the run at a random moment, after more than `progress` further steps."""
        self.start()
        begun = self.newest()
        self.kill(lambda: self.newest() > begun + progress, draw.random() * 0.05)

    def kill_mid_checkpoint(self, draw: random.Random) -> None:
        """Kill the run while a checkpoint is written, after at least one further checkpoint."""
        self.start()
        begun = self.newest()
        self.kill(lambda: self.newest() > begun and self.writing(), draw.random() * 0.02)


def log_of(folder: Path) -> list[dict[str, object]]:
    """Return the metrics log without timestamps."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "time"} for line in lines]


def drill(tmp_path: Path, text: str, *arguments: str) -> tuple[Drill, Path]:
    """Run a recipe uninterrupted; return a drill of it and the folder of the uninterrupted run."""
    path = tmp_path / "recipe.toml"
    path.write_text(text, encoding="utf-8")
    run(*arguments, "train", path, "--name", "whole", "--quiet", cwd=tmp_path)
    return Drill(tmp_path, [*arguments, "train", str(path)]), tmp_path / "runs" / "whole"


def check(drilled: Drill, whole: Path) -> None:
    assert same(drilled.folder, whole)
    assert log_of(drilled.folder) == log_of(whole)
    artifacts = [json.loads((f / "artifact" / "artifact.json").read_text()) for f in (drilled.folder, whole)]
    assert artifacts[0]["metrics"] == artifacts[1]["metrics"]


@pytest.mark.slow
def test_run_killed_twice_is_bit_identical(tmp_path):
    drilled, whole = drill(tmp_path, LARGE.replace("2048", "768").replace("epochs = 3", "epochs = 1"))
    drilled.kill_mid_epoch(3, random.Random(0))
    drilled.kill_mid_checkpoint(random.Random(0))
    drilled.finish()
    check(drilled, whole)


@pytest.mark.slow
def test_third_party_trainer_killed_and_resumed(tmp_path):
    # The trainer only calls track() for its state; it has no other code for checkpoints.
    file = single_file(tmp_path / "acme.py")
    drilled, whole = drill(tmp_path, recipe(epochs=8, checkpoint_steps=1), "--plugin", str(file))
    drilled.kill_mid_epoch(5, random.Random(0))
    assert json.loads((drilled.folder / "run.json").read_text())["trainer"] == "noisy"
    drilled.finish()
    check(drilled, whole)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Return the arguments of a run of one epoch and the folder of its uninterrupted run."""
    place = tmp_path_factory.mktemp("small")
    drilled, whole = drill(place, SMALL.replace("40", "1"))
    return drilled.arguments, whole


@pytest.mark.slow
def test_run_killed_before_its_first_checkpoint_restarts(tmp_path, small):
    arguments, whole = small
    drilled = Drill(tmp_path, [*arguments, "--set", "loop.checkpoint_steps=0"])
    drilled.start()
    drilled.kill(lambda: (drilled.folder / "recipe.toml").is_file())
    assert drilled.newest() == 0
    drilled.finish()
    check(drilled, whole)


@pytest.mark.slow
def test_damaged_checkpoint_is_skipped(tmp_path, small):
    arguments, whole = small
    drilled = Drill(tmp_path, arguments)
    drilled.start()
    drilled.kill(lambda: drilled.newest() >= 14)
    newest = max(drilled.checkpoints.glob("step-*"))
    data = bytearray(newest.read_bytes())
    data[-100] ^= 1
    newest.write_bytes(data)
    run("train", "--resume", "drilled", "--quiet", cwd=tmp_path)
    assert "skipped: " in (drilled.folder / "log.txt").read_text()
    check(drilled, whole)


@pytest.mark.slow
def test_run_killed_six_times_while_writing_checkpoints(tmp_path):
    draw = random.Random(2)
    drilled, whole = drill(tmp_path, LARGE)
    for _ in range(6):
        drilled.kill_mid_checkpoint(draw)
    drilled.finish()
    check(drilled, whole)
    assert drilled.mid_write, "no kill left a half-written checkpoint"
