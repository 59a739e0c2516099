"""Non-finite losses and gradients: the error names step, samples and origin; the last good checkpoint is kept."""

import json

import pytest

from support.in_process import run

pytestmark = pytest.mark.usefixtures("weights_alone")

NET = """
import torch
from torch import nn

class Spoil(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, grad):
        return grad * float("inf")

class Bad(nn.Module):
    def forward(self, x):
        return torch.log(x - x.max() - 1) if self.bad else x
    bad = False

class Net(nn.Module):
    WHERE = "WHAT"
    def __init__(self, spec):
        super().__init__()
        inputs = spec.fields[0].shape[0] * spec.fields[0].shape[1] * spec.fields[0].shape[2]
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(inputs, 16), Bad(), nn.ReLU())
        self.last = nn.Linear(16, spec.outputs)
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

    def forward(self, x):
        bad = False
        if self.training:
            self.calls += 1
            bad = int(self.calls) == 30
        self.body[2].bad = bad and self.WHERE == "module"
        score = self.last(self.body(x))
        return Spoil.apply(score) if bad and self.WHERE == "gradient" else score
"""
SETTINGS = ["--epochs", 3, "--batch-size", 32, "--set", "loop.checkpoint_steps=8", "--set", "loop.log_every=10"]


def broken(place, what, *more, source="digits"):
    (place / "net.py").write_text(NET.replace("WHAT", what), encoding="utf-8")
    result = run("train", source, "--model", "net.py:Net", *SETTINGS, "--name", what, *more, cwd=place, code=1)
    return result, place / "runs" / what


@pytest.mark.parametrize("more", [[], ["--set", "loop.accumulate=2"],
                                  ["--set", "loader.memory=0", "--set", "loader.workers=2"]],
                         ids=["plain", "micro-batches", "workers"])  # fmt: skip
def test_nan_error_names_module_step_and_samples(tmp_path, more):
    result, folder = broken(tmp_path, "module", *more)
    step = 15 if "loop.accumulate=2" in more else 30
    assert f"The loss is nan at step {step} (epoch 1)" in result.err
    assert "module 'body.2' (Bad)" in result.err
    assert "Its batch: samples " in result.err
    assert "and 24 more" in result.err
    assert "The last good checkpoint is kept" in result.err
    facts = json.loads((folder / "run.json").read_text())
    assert facts["status"] == "failed"
    newest = max((folder / "checkpoints").glob("step-*"))
    assert int(newest.name[5:14]) < step
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert all(line["loss"] == line["loss"] for line in lines if line["kind"] == "step")


@pytest.mark.slow
def test_non_finite_gradient_is_distinguished_from_a_non_finite_module(tmp_path):
    result, _ = broken(tmp_path, "gradient")
    assert "at step 31" in result.err
    assert "Step 30 made the weight" in result.err
    assert "Its batch: samples " in result.err


def test_non_finite_sample_is_named(tmp_path):
    (tmp_path / "odd.py").write_text(
        "import numpy as np\n"
        "from benchdog.api import Field, Preprocess, Raw, Spec, Target\n"
        "class Odd:\n"
        "    def spec(self):\n"
        "        field = Field(kind='image', shape=(1, 4, 4), dtype='float32')\n"
        "        return Spec(fields=(field,), target=Target(kind='class', classes=('a', 'b')))\n"
        "    def preprocess(self, spec):\n"
        "        ops = {'input': [{'op': 'array', 'dtype': 'float32', 'shape': [1, 4, 4]}]}\n"
        "        return Preprocess(decode=ops, transform={'input': [{'op': 'identity'}]})\n"
        "    def open(self):\n"
        "        rng = np.random.default_rng(0)\n"
        "        x = rng.normal(size=(200, 1, 4, 4)).astype('float32')\n"
        "        x[77, 0, 1, 1] = np.inf\n"
        "        return {'train': Part(x[:150]), 'valid': Part(x[150:])}\n"
        "class Part:\n"
        "    def __init__(self, x):\n"
        "        self.x, self.y = x, np.arange(len(x)) % 2\n"
        "    def __len__(self):\n"
        "        return len(self.x)\n"
        "    def raw(self, i):\n"
        "        return Raw(id=f's{i}', fields={'input': self.x[i]}, target=int(self.y[i]))\n"
        "    def batch(self, indices):  # the fast path doesn't check values\n"
        "        return (self.x[indices],), self.y[indices]\n",
        encoding="utf-8",
    )
    result, _ = broken(tmp_path, "nothing", source="odd.py:Odd")
    assert "The field 'input' of sample s77 is not finite." in result.err
