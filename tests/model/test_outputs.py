"""Models that return several tensors, probabilities or one logit: their score is found, or named by [output]."""

import tomllib
from pathlib import Path

import numpy as np
import pytest

from support.in_process import run, run_export, same, stop_at

pytestmark = pytest.mark.usefixtures("weights_alone")
NETS = """
from collections import namedtuple
from dataclasses import dataclass

import torch
from torch import nn

Pair = namedtuple("Pair", "hidden logits")


@dataclass
class Out:
    probabilities: torch.Tensor
    logits: torch.Tensor


class Base(nn.Module):
    def __init__(self, spec):
        super().__init__()
        self.first = nn.LazyLinear(6)
        self.last = nn.Linear(6, self.size or spec.outputs)

    size = 0

    def forward(self, *inputs):
        hidden = torch.relu(self.first(torch.cat([x.flatten(1) for x in inputs], 1).float()))
        return self.returned(hidden, self.last(hidden))


def net(name, size, function):
    return type(name, (Base,), {"size": size, "returned": lambda self, hidden, y: function(hidden, y)})


Plain = net("Plain", 0, lambda hidden, y: y)
Tuple = net("Tuple", 0, lambda hidden, y: (hidden, y))
Both = net("Both", 0, lambda hidden, y: (y.softmax(1), y))
Named = net("Named", 0, lambda hidden, y: Pair(hidden, y))
Dict = net("Dict", 0, lambda hidden, y: {"features": hidden, "class": y})
Data = net("Data", 0, lambda hidden, y: Out(y.softmax(1), y))
Twins = net("Twins", 0, lambda hidden, y: (y, 2 * y + hidden[:, :1]))
Softmax = net("Softmax", 0, lambda hidden, y: y.softmax(1))
Logit = net("Logit", 1, lambda hidden, y: y)
Flat = net("Flat", 1, lambda hidden, y: y[:, 0])
Sigmoid = net("Sigmoid", 1, lambda hidden, y: y.sigmoid())
Wide = net("Wide", 5, lambda hidden, y: y)
Nothing = net("Nothing", 0, lambda hidden, y: None)
"""
READ = {
    "Plain": ({"form": "score"}, ""),
    "Tuple": ({"score": "1", "form": "score"}, "'1' is the score: no other has its shape"),
    "Both": ({"score": "1"}, "'1' is the score: the others are its probabilities"),
    "Named": ({"score": "logits"}, "'logits' is the score"),
    "Dict": ({"score": "class"}, "'class' is the score"),
    "Data": ({"score": "logits"}, "the others are its probabilities"),
    "Softmax": ({"form": "probabilities"}, "their logarithm is the score"),
    "Logit": ({"form": "logit", "positive": "yes"}, "is the logit of 'yes'"),
    "Flat": ({"form": "logit", "positive": "yes"}, "is the logit of 'yes'"),
    "Sigmoid": ({"form": "probability", "positive": "yes"}, "is the probability of 'yes'"),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, home: Path) -> Path:
    """Return a folder with networks, a table of two classes, "no" and "yes", and one of three."""
    folder = tmp_path_factory.mktemp("outputs")
    (folder / "nets.py").write_text(NETS, encoding="utf-8")
    draw = np.random.default_rng(0)
    lines = [f"{x:.3f},{z:.3f},{'yes' if x > 0 else 'no'}" for x, z in draw.normal(size=(200, 2))]
    (folder / "two.csv").write_text("\n".join(["x,z,kind", *lines]) + "\n", encoding="utf-8")
    three = [f"{x:.3f},{'abc'[int(x > -0.5) + int(x > 0.5)]}" for x in draw.normal(size=200)]
    (folder / "three.csv").write_text("\n".join(["x,kind", *three]) + "\n", encoding="utf-8")
    (folder / "ask.csv").write_text("x,z\n2,0\n-2,0\n", encoding="utf-8")
    return folder


def train(place, net, *more, data="two.csv", code=0):
    words = ("train", data, "--model", f"nets.py:{net}", "--lr", "0.05", "--batch-size", 16)
    return run(*words, *more, cwd=place, code=code).err


def probabilities(place, model):
    answers = run("predict", model, "ask.csv", "--json", cwd=place).json["answers"]
    return [answer["probabilities"]["yes"] for answer in answers]


@pytest.mark.parametrize("net", READ)
def test_score_is_found_trained_and_predicted(place, net):
    wanted, told = READ[net]
    said = train(place, net, "--epochs", 12, "--name", net)
    assert told in said
    recipe = tomllib.loads((place / "runs" / net / "recipe.toml").read_text(encoding="utf-8"))
    assert recipe["output"] | wanted == recipe["output"]
    high, low = probabilities(place, net)
    assert low < 0.4 < 0.6 < high, "the table says yes where x is positive"


@pytest.mark.parametrize("net", ["Both", "Sigmoid"])
def test_export_returns_what_the_run_predicts(place, net):
    train(place, net, "--epochs", 2, "--quiet", "--name", f"{net}-exported")
    run_export(f"{net}-exported", "--to", "torchscript", cwd=place)
    exported = probabilities(place, f"runs/{net}-exported/exports/torchscript")
    assert exported == pytest.approx(probabilities(place, f"{net}-exported"), abs=1e-5)


def test_interrupted_run_reads_the_score_as_before(place, monkeypatch):
    train(place, "Sigmoid", "--epochs", 3, "--quiet", "--name", "whole")
    with monkeypatch.context() as patch:
        stop_at(patch, 11)
        train(place, "Sigmoid", "--epochs", 3, "--quiet", "--name", "stopped", code=143)
    assert "output" not in run("train", "--resume", "stopped", cwd=place).err
    assert same(place / "runs" / "whole", place / "runs" / "stopped")


def test_class_of_the_one_logit_is_chosen(place):
    train(place, "Logit", "--epochs", 12, "--quiet", "--name", "no", "--set", "output.positive=no")
    high, low = probabilities(place, "no")
    assert low < 0.5 < high, "the logit is that of the other class, which the training learns"
    recipe = tomllib.loads((place / "runs" / "no" / "recipe.toml").read_text(encoding="utf-8"))
    assert recipe["output"]["positive"] == "no"


def test_named_output_is_taken_among_several(place):
    assert "output.score" not in train(place, "Twins", "--epochs", 1, "--set", "output.score=0", "--name", "0")
    train(place, "Twins", "--epochs", 1, "--quiet", "--set", "output.score=1", "--name", "1")
    assert not same(place / "runs" / "0", place / "runs" / "1")


@pytest.mark.parametrize(
    ("net", "settings", "data", "message", "hint"),
    [
        ("Twins", (), "two.csv", "which one is the score isn't clear", "--set output.score=0"),
        ("Tuple", ("output.score=logits",), "two.csv", "returns no output 'logits'", "It returns "),
        ("Wide", (), "two.csv", "returns (2, 5) for two samples; the task needs (2, 2)", "spec.outputs"),
        ("Nothing", (), "two.csv", "returns NoneType for two samples", "spec.outputs"),
        ("Plain", ("output.form=logit",), "two.csv", "the task needs (2, 2) (output.form = 'logit')", "spec.outputs"),
        ("Plain", ("output.form=logit",), "three.csv", "is for two classes, and this data has 3", "score"),
        ("Plain", ("output.form=probabilities",), "two.csv", "which are no probabilities", 'output.form = "score"'),
        ("Plain", ("output.positive=yes",), "two.csv", "for a model with one output for two classes", "Leave it out"),
        ("Logit", ("output.positive=maybe",), "two.csv", "There is no class 'maybe'", "Available: no, yes"),
        ("Logit", (), "three.csv", "returns (2, 1) for two samples; the task needs (2, 3)", "spec.outputs"),
        ("Plain", ("output.form=odds",), "two.csv", "odds", "probabilities"),
    ],
)
def test_output_that_does_not_fit_is_refused_with_what_to_type(place, net, settings, data, message, hint):
    words = [word for setting in settings for word in ("--set", setting)]
    said = train(place, net, "--epochs", 1, *words, data=data, code=2)
    assert message in said
    assert hint in said.split(message)[1]
    assert "Traceback" not in said
