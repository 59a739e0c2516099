"""A fake accelerator: every task and most models train on it, and their runs are usable on the CPU."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchdog.runs import state

pytestmark = pytest.mark.slow
TESTS = Path(__file__).parents[2]
DIGITS = ["digits", "--batch-size", "256"]
SHAPES = ["shapes", "--set", "source.count=60", "--set", "source.size=16", "--batch-size", "16", "--model", "unet"]
BALLS = [*SHAPES, "--set", "source.dimensions=3"]
TEXT = ["book.txt", "--set", "source.length=16", "--batch-size", "16"]
TABLE = ["table.csv", "--batch-size", "32"]
AUGMENT = 'loader.augment=["flip","affine","color","noise","cut-out","crop","mix-up"]'
SUMMED = """
from torch import nn

class Summed(nn.Module):
    def __init__(self, spec):
        super().__init__()
        self.last = nn.Linear(64, spec.outputs)

    def forward(self, x):
        return self.last(x.flatten(1).cumsum(1))
"""
TRAINED = {
    "linear": [*DIGITS, "--model", "linear"],
    "cnn": [*DIGITS, "--model", "cnn", "--set", "model.dropout=0.1"],
    "resnet": [*DIGITS, "--model", "resnet", "--set", "model.width=8"],
    "vit": [*DIGITS, "--model", "vit"],
    "averaged": [*DIGITS, "--model", "mlp", "--set", "trainer.average=ema", "--set", "trainer.clip_norm=1"],
    "augmented": [*DIGITS, "--model", "mlp", "--set", AUGMENT],
    "accumulated": [*DIGITS, "--model", "mlp", "--set", "loop.accumulate=3"],
    "read again": [*DIGITS, "--model", "mlp", "--set", "loader.memory=0", "--set", "loader.workers=0"],
    "balanced": [*DIGITS, "--model", "mlp", "--set", "task.class_weights=balanced"],
    "ordinal": [*DIGITS, "--model", "mlp", "--task", "ordinal"],
    "embedding": [*DIGITS, "--model", "mlp", "--task", "embedding"],
    "lora": [*DIGITS, "--model", "mlp", "--set", "trainer.lora=2", "--set", "trainer.freeze_groups=1"],
    "plateau": [*DIGITS, "--model", "mlp", "--set", "trainer.optimizer=SGD", "--set", "trainer.schedule=plateau"],
    "mask": SHAPES,
    "dice": [*SHAPES, "--set", "task.loss=dice+cross-entropy", "--set", "task.class_weights=balanced"],
    "focal": [*SHAPES, "--set", "task.loss=focal", "--set", "task.ignore=255"],
    "deep": [*SHAPES, "--set", "model.deep_supervision=true"],
    "volume": BALLS,
    "gpt": [*TEXT, "--model", "gpt", "--set", "model.positions=rotary"],
    "texts": ["text", "--set", "source.path=texts.csv", "--set", "source.label=kind", "--set", "source.length=16"],
    "table": [*TABLE, "--set", "source.kind=class", "--model", "tabular"],
    "numbers": [*TABLE, "--set", "source.kind=number"],
}

WHOLE = ("cnn", "embedding", "mask", "gpt", "texts", "table", "numbers")
"""The runs that write graph and report too: one for each task and kind of data."""


def write_data(place: Path) -> None:
    """Write a text, texts with a class, and a table."""
    (place / "book.txt").write_text("It was a dark and stormy night; the rain fell. " * 40, encoding="utf-8")
    rows = [f"{['rain', 'sun', 'wind'][i % 3]} all day,{['wet', 'dry'][i % 2]}" for i in range(60)]
    (place / "texts.csv").write_text("\n".join(["text,kind", *rows]), encoding="utf-8")
    lines = [f"{i % 7},{'ab'[i % 2]},{i % 5},{i % 4}" for i in range(120)]
    (place / "table.csv").write_text("\n".join(["size,color,weight,quality", *lines]), encoding="utf-8")
    (place / "summed.py").write_text(SUMMED, encoding="utf-8")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    """Run all commands in one process; return exit code, output and run folder of each."""
    place = tmp_path_factory.mktemp("elsewhere")
    write_data(place)
    more = ["--epochs", "1", "--quiet", "--backend"]
    words = {name: ["train", *given, *more, "elsewhere", "--name", name] for name, given in TRAINED.items()}
    words |= {f"{name}, here": ["train", *TRAINED[name], *more, "cpu", "--name", f"{name}, here"] for name in TRAINED}
    summed = ["train", "digits", "--model", "summed.py:Summed", *more, "elsewhere", "--name", "summed"]
    words |= {
        "summed": summed,
        "evaluated": ["evaluate", "cnn"],
        "exported": ["export", "cnn", "--to", "torch-export"],
    }
    words |= {"looked for": ["find-lr", *DIGITS, "--model", "mlp", "--backend", "elsewhere"]}
    (place / "commands.json").write_text(json.dumps(words), encoding="utf-8")
    command = [sys.executable, "-m", "support.fake_device", str(place / "commands.json"), str(place), *WHOLE]
    done = subprocess.run(
        command, cwd=place, env={**os.environ, "PYTHONPATH": str(TESTS)}, capture_output=True, text=True, timeout=400
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return {name: [*result, place / "runs" / name] for name, result in json.loads(done.stdout).items()}


@pytest.mark.parametrize("name", TRAINED)
def test_training_on_fake_device_matches_cpu(results, name):
    code, output, folder = results[name]
    assert code == 0, output
    assert json.loads((folder / "run.json").read_text())["status"] == "finished"
    there, here = (np.fromfile(f / "losses.f32", "<f4") for f in (folder, folder.with_name(f"{name}, here")))
    np.testing.assert_allclose(there, here, rtol=2e-3)
    weights = state.read(next((folder / "checkpoints").glob("step-*.safetensors")))["model"]
    assert {str(tensor.device) for tensor in weights.values()} == {"cpu"}


@pytest.mark.parametrize("name", ["evaluated", "exported", "looked for"])
def test_fake_device_supports_evaluate_export_and_find_lr(results, name):
    assert results[name][0] == 0, results[name][1]


def test_nondeterministic_operation_is_refused_with_a_hint(results):
    code, output, _ = results["summed"]
    assert code == 3
    assert "cumsum isn't deterministic on 'elsewhere'" in output
    assert "backend.deterministic = false" in output
    assert "Traceback" not in output
