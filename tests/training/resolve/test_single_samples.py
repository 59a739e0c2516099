"""Batches of one sample: `auto` avoids them where a model normalizes over its batch; a given size is refused."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchdog.data.sampler import micro_batch_sizes, micro_batches
from support.in_process import run
from support.local_sources import write as write_source

pytestmark = pytest.mark.usefixtures("weights_alone")

NETS = """
from torch import nn


class Normalized(nn.Module):
    def __init__(self, spec):
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, spec.outputs))

    def forward(self, x):
        return self.body(x)


class Squeezed(nn.Module):
    def __init__(self, spec):
        super().__init__()
        self.last = nn.Linear(4, spec.outputs)

    def forward(self, x):
        return self.last(x).squeeze(0)


class Plain(nn.Module):
    def __init__(self, spec):
        super().__init__()
        self.last = nn.Linear(4, spec.outputs)

    def forward(self, x):
        return self.last(x)
"""


@pytest.fixture
def place(tmp_path):
    write_source(tmp_path)
    (tmp_path / "net.py").write_text(NETS, encoding="utf-8")
    return tmp_path


def command(name, net, size, *more, samples=26):
    settings = [f"model.name=net.py:{net}", f"loop.batch_size={size}", f"source.samples={samples}", *more]
    asked = ["--run-code"] if name == "plan" else []
    words = [word for setting in settings for word in ("--set", setting)]
    return ["--plugin", "local_sources_plugin.py", name, "positions", *asked, *words]


@pytest.mark.parametrize("name", ["train", "plan", "find-lr"])
def test_size_that_leaves_one_sample_is_refused_with_sizes_that_work(place, name):
    result = run(*command(name, "Normalized", 25), cwd=place, code=2)
    said = "The last batch of an epoch has one sample, and 'net.py:Normalized' normalizes over its batch."
    assert said in result.err
    assert "Take --batch-size 24 or 26." in result.err
    assert not (place / "runs").exists()


def test_size_that_is_suggested_works(place):
    assert "best: epoch 1" in run(*command("train", "Normalized", 24, "loop.epochs=1"), cwd=place).err


@pytest.mark.parametrize(
    ("net", "size", "more", "words"),
    [
        ("Normalized", 1, [], "Every batch has one sample"),
        ("Squeezed", 25, [], "returns (3,) for it"),
        (
            "Normalized",
            26,
            ["loop.accumulate=26", "loop.allow_batch_dependence=true"],
            "A micro-batch has one sample",
        ),
    ],
)
def test_other_batches_of_one_are_refused(place, net, size, more, words):
    assert words in run(*command("plan", net, size, *more), cwd=place, code=2).err


@pytest.mark.parametrize(("net", "size"), [("Plain", 25), ("Plain", 1), ("Normalized", 13)])
def test_batch_of_one_is_accepted_where_it_can_be_trained_on(place, net, size):
    plan = run(*command("plan", net, size), "--json", cwd=place).json
    assert plan["recipe"]["loop"]["batch_size"] == size


@pytest.mark.parametrize(
    ("net", "samples", "size"), [("Normalized", 26, 2), ("Normalized", 148, 6), ("Plain", 26, 1), ("Plain", 148, 7)]
)
def test_auto_leaves_no_sample_by_itself_where_batches_are_normalized(place, net, samples, size):
    plan = run(*command("plan", net, "auto", samples=samples), "--json", cwd=place).json
    assert plan["recipe"]["loop"]["batch_size"] == size
    assert ("would leave a batch of one sample" in str(plan["notes"])) == (net == "Normalized")


def test_single_training_sample_is_refused_without_a_size(place):
    assert "Add samples." in run(*command("plan", "Normalized", 8, samples=1), cwd=place, code=2).err


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 4), st.integers(1, 5))
def test_micro_batch_sizes_are_those_of_an_epoch(samples, batch, world, accumulate):
    parts = [
        len(part)
        for positions in torch.arange(samples).split(batch)
        for rank in range(world)
        for part in micro_batches(positions, rank, world, accumulate)
    ]
    assert micro_batch_sizes(samples, batch, world, accumulate) == set(parts)
