"""A small network of timm's, trained on the digits, begun from a file of weights, frozen by name; the commands."""

import json

import pytest
import torch
from safetensors.torch import load_file

from support.in_process import run, run_export, train

pytestmark = pytest.mark.slow
SMALL = ("--epochs", 1, "--set", "artifact.max_batch=2")
NET = (*SMALL, "--model", "timm", "--set", "model.net=test_resnet")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Give a folder with a run `first`, and its weights as files in timm's names."""
    place = tmp_path_factory.mktemp("timm")
    run("train", "digits", *NET, "--name", "first", cwd=place)
    stored = load_file(place / "runs" / "first" / "artifact" / "model.safetensors")
    weights = {name.removeprefix("model."): x for name, x in stored.items() if name.startswith("model.")}
    torch.save(weights, place / "weights.pth")
    return place


def model_of(place, name):
    stored = load_file(place / "runs" / name / "artifact" / "model.safetensors")
    return {key.removeprefix("model."): x for key, x in stored.items() if key.startswith("model.")}


def test_it_is_fine_tuned_from_a_file_frozen_by_name(place):
    more = ("--set", "start.weights=weights.pth", "--set", "start.transform=data")
    frozen = ("--set", 'trainer.freeze=["conv1", "layer1", "layer2.*.conv1.*"]')
    said = train("digits", *NET, *more, *frozen, "--name", "tuned", cwd=place).err
    assert "tensors read (100.0% of the parameters below the head)" in said
    assert "fc.weight (the head)" in said
    before, after = model_of(place, "first"), model_of(place, "tuned")
    held = [name for name in before if name.startswith(("conv1.0", "layer1.0.conv1", "layer2.0.conv1"))]
    assert held
    assert all(torch.equal(before[name], after[name]) for name in held)
    assert not torch.equal(before["layer2.0.conv2.weight"], after["layer2.0.conv2.weight"])
    assert not torch.equal(before["fc.weight"], after["fc.weight"])


def test_it_predicts_and_is_exported_without_timm(place, without_timm):
    samples = place / "runs" / "first" / "artifact" / "samples"
    picture = next(samples.glob("*.png"))
    told = run("predict", "first", picture, "--json", cwd=place).json
    assert told["answers"][0]["label"] in "0123456789"  # by its graph
    run_export("first", "--to", "onnx", cwd=place)


def test_corrections_of_a_low_rank_are_learnt_beside_frozen_layers(place):
    net = (*SMALL, "--model", "timm", "--set", "model.net=test_efficientnet")
    train("digits", *net, "--name", "whole", cwd=place)
    more = ("--set", "start.weights=whole", "--set", "trainer.lora=2", "--set", "trainer.freeze_groups=-1")
    train("digits", *net, *more, "--name", "corrected", cwd=place)
    before, after = model_of(place, "whole"), model_of(place, "corrected")
    assert before.keys() == after.keys()
    changed = {name for name in before if name.startswith("blocks") and not torch.equal(before[name], after[name])}
    assert any(name.endswith("conv_pw.weight") for name in changed)
    assert not torch.equal(before["classifier.weight"], after["classifier.weight"])


def test_as_trained_scaling_of_colours_becomes_one_for_grey(place):
    train("digits", *NET, "--set", "start.weights=weights.pth", "--name", "grey", cwd=place)
    facts = json.loads((place / "runs" / "grey" / "artifact" / "artifact.json").read_text(encoding="utf-8"))
    (op,) = facts["preprocess"]["transform"]["input"]
    assert op["op"] == "normalise"
    assert len(op["mean"]) == len(op["deviation"]) == 1
