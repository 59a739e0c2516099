"""Models that start from pretrained weights by default, and layer groups of nested networks."""

import json
import tomllib

import pytest
from torch import nn

from benchdog.model.layer_groups import stages
from support.in_process import run
from support.pretrained_plugin import PLUGIN, write_pretrained

pytestmark = pytest.mark.usefixtures("weights_alone")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Return a folder with a third-party model that starts from its published weights by default."""
    place = write_pretrained(tmp_path_factory.mktemp("begins"))
    plugin = PLUGIN.replace('task = "classification"', 'task = "classification"\n    begins = True')
    (place / "tiny.py").write_text(plugin, encoding="utf-8")
    return place


def train(place, name, *more):
    command = ("train", "digits", "--model", "tiny", "--epochs", 1, "--name", name)
    return run("--plugin", place / "tiny.py", *command, *more, cwd=place)


def recipe(place, name):
    return tomllib.loads((place / "runs" / name / "recipe.toml").read_text(encoding="utf-8"))


def test_default_pretrained_start_is_written_to_recipe(place):
    assert "tensors read (100.0% of the parameters below the head)" in train(place, "unasked").err
    start = recipe(place, "unasked")["start"]
    assert start["weights"] == "package"
    assert len(start["sha256"]) == 64
    facts = json.loads((place / "runs" / "unasked" / "run.json").read_text(encoding="utf-8"))
    assert facts["start"]["weights"] == "package"


def test_pretrained_start_can_be_disabled(place):
    assert "start:" not in train(place, "scratch", "--set", 'start.weights=""').err
    assert recipe(place, "scratch")["start"]["weights"] == ""


def test_rgb_normalization_is_averaged_for_grayscale(place):
    three = '"mean": [90.0, 100.0, 110.0], "deviation": [50.0]'
    text = (place / "tiny.py").read_text(encoding="utf-8")
    assert '"mean": [100.0], "deviation": [50.0]' in text
    (place / "rgb.py").write_text(
        text.replace('"mean": [100.0], "deviation": [50.0]', three).replace('name="tiny"', 'name="rgb"'), "utf-8"
    )
    run(
        "--plugin",
        place / "rgb.py",
        "train",
        "digits",
        "--model",
        "rgb",
        "--epochs",
        1,
        "--name",
        "c",
        cwd=place,
    )
    (op,) = recipe(place, "c")["start"]["operations"]["input"]
    assert op == {"op": "normalise", "mean": [100.0], "deviation": [50.0]}


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.wide = nn.LayerNorm(4), nn.Linear(4, 4)


class Mixture(nn.Module):
    def __init__(self):
        super().__init__()
        self.gate = nn.Linear(4, 2)
        self.experts = nn.ModuleList([Layer(), Layer()])


def net(layers, pool=True):
    body = nn.Module()
    body.embed = nn.Embedding(9, 4)
    body.encoder = nn.Module()
    body.encoder.layers = nn.ModuleList(layers)
    if pool:
        body.pool = nn.Linear(4, 4)
    whole = nn.Module()
    whole.body, whole.head = body, nn.Linear(4, 2)
    return whole


def test_layer_groups_split_backbone_into_blocks():
    assert stages(net([Layer(), Layer()])) == [
        "body.embed", "body.encoder.layers.0", "body.encoder.layers.1", "body.pool", "head"
    ]  # fmt: skip
    assert stages(net([Layer(), nn.Sequential(nn.Linear(4, 4))])) == ["body", "head"]  # blocks of two kinds
    assert stages(net([Mixture(), Mixture()], pool=False)) == [
        "body.embed",
        "body.encoder.layers.0",
        "body.encoder.layers.1",
        "head",
    ]  # fmt: skip - experts are not blocks of the network
