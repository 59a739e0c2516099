"""Memory format of convolutions: a model that doesn't run in channels_last trains without it."""

import tomllib

import pytest

from support.in_process import run, same, stop_at

pytestmark = pytest.mark.usefixtures("weights_alone")

NETS = """
from torch import nn


class Base(nn.Module):
    def __init__(self, spec):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.last = nn.Linear(256, spec.outputs)


class View(Base):
    def forward(self, x):
        return self.last(self.norm(self.conv(x)).view(x.size(0), -1))


class ViewInTraining(Base):
    def forward(self, x):
        x = self.norm(self.conv(x))
        return self.last(x.view(x.size(0), -1) if self.training else x.flatten(1))


class Reshape(Base):
    def forward(self, x):
        return self.last(self.norm(self.conv(x)).reshape(x.size(0), -1))


class Broken(Base):
    def forward(self, x):
        if self.training:
            raise ValueError("not written yet")
        return self.last(self.norm(self.conv(x)).flatten(1))
"""
TRAIN = ("--epochs", 1, "--batch-size", 128, "--set", "loop.checkpoint_steps=2")
NOTE = "backend.channels_last is off: with it the model raises RuntimeError: view size is not compatible"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nets")
    (folder / "nets.py").write_text(NETS, encoding="utf-8")
    return folder


def channels_last(folder):
    return tomllib.loads((folder / "recipe.toml").read_text(encoding="utf-8"))["backend"]["channels_last"]


@pytest.mark.parametrize("name", ["View", "ViewInTraining"])
def test_convolution_before_a_view_trains(place, name):
    words = ("digits", "--model", f"nets.py:{name}", *TRAIN)
    assert NOTE in run("train", *words, "--name", name, cwd=place).err
    assert channels_last(place / "runs" / name) is False
    assert NOTE in run("plan", "digits", "--model", f"nets.py:{name}", "--run-code", cwd=place).err


def test_other_convolutions_train_in_channels_last(place):
    result = run("train", "digits", "--model", "nets.py:Reshape", *TRAIN, "--name", "reshape", cwd=place)
    assert "channels_last" not in result.err
    assert channels_last(place / "runs" / "reshape") is True


def test_memory_format_survives_a_resume(place, monkeypatch):
    words = ("digits", "--model", "nets.py:View", *TRAIN, "--quiet")
    run("train", *words, "--name", "whole", cwd=place)
    with monkeypatch.context() as patched:
        stop_at(patched, 3)
        run("train", *words, "--name", "half", cwd=place, code=143)
    run("train", "--resume", "half", "--quiet", cwd=place)
    assert same(place / "runs" / "half", place / "runs" / "whole")


def test_model_that_fails_in_both_formats_reports_its_own_error(place):
    told = run("train", "digits", "--model", "nets.py:Broken", *TRAIN, cwd=place, code=1).err
    assert "ValueError: not written yet" in told
    assert "channels_last" not in told


def test_learning_rate_search_runs_it_too(place):
    assert "suggestion" in run("find-lr", "digits", "--model", "nets.py:View", cwd=place).out


@pytest.mark.parametrize(("width", "format"), [(4, False), (8, True)])
def test_narrow_strided_convolutions_train_in_the_plain_format(tmp_path, width, format):
    """In the other, oneDNN's backward pass writes past its buffers: the process aborts or hangs."""
    options = ("--set", "model.depth=10", "--set", f"model.width={width}", "--set", "backend.name=cpu", "--json")
    plan = run("plan", "digits", "--model", "resnet", *options, cwd=tmp_path).json
    assert plan["recipe"]["backend"]["channels_last"] is format
