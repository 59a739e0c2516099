"""A small timm network on the digits: fine-tuned from a file, frozen by name, exported; the command line."""

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
    """Return a folder with a run `first` and its weights in a file, under timm's names."""
    place = tmp_path_factory.mktemp("timm")
    run("train", "digits", *NET, "--name", "first", cwd=place)
    stored = load_file(place / "runs" / "first" / "artifact" / "model.safetensors")
    weights = {name.removeprefix("model."): x for name, x in stored.items() if name.startswith("model.")}
    torch.save(weights, place / "weights.pth")
    return place


def model_of(place, name):
    stored = load_file(place / "runs" / name / "artifact" / "model.safetensors")
    return {key.removeprefix("model."): x for key, x in stored.items() if key.startswith("model.")}


def test_fine_tuning_from_a_file_keeps_layers_frozen_by_name(place):
    start = ("--set", "start.weights=weights.pth", "--set", "start.transform=data")
    frozen = ("--set", 'trainer.freeze=["conv1", "layer1", "layer2.*.conv1.*"]')
    err = train("digits", *NET, *start, *frozen, "--name", "tuned", cwd=place).err
    assert "tensors read (100.0% of the parameters below the head)" in err
    assert "fc.weight (the head)" in err
    before, after = model_of(place, "first"), model_of(place, "tuned")
    frozen_names = [name for name in before if name.startswith(("conv1.0", "layer1.0.conv1", "layer2.0.conv1"))]
    assert frozen_names
    assert all(torch.equal(before[name], after[name]) for name in frozen_names)
    assert not torch.equal(before["layer2.0.conv2.weight"], after["layer2.0.conv2.weight"])
    assert not torch.equal(before["fc.weight"], after["fc.weight"])


def test_predicts_and_exports_without_timm(place, without_timm):
    samples = place / "runs" / "first" / "artifact" / "samples"
    image = next(samples.glob("*.png"))
    predicted = run("predict", "first", image, "--json", cwd=place).json
    assert predicted["answers"][0]["label"] in "0123456789"  # with its portable graph
    run_export("first", "--to", "onnx", cwd=place)


def test_lora_changes_frozen_layers(place):
    net = (*SMALL, "--model", "timm", "--set", "model.net=test_efficientnet")
    train("digits", *net, "--name", "whole", cwd=place)
    lora = ("--set", "start.weights=whole", "--set", "trainer.lora=2", "--set", "trainer.freeze_groups=-1")
    train("digits", *net, *lora, "--name", "corrected", cwd=place)
    before, after = model_of(place, "whole"), model_of(place, "corrected")
    assert before.keys() == after.keys()
    changed = {name for name in before if name.startswith("blocks") and not torch.equal(before[name], after[name])}
    assert any(name.endswith("conv_pw.weight") for name in changed)
    assert not torch.equal(before["classifier.weight"], after["classifier.weight"])


def test_color_normalization_has_one_channel_for_gray_images(place):
    train("digits", *NET, "--set", "start.weights=weights.pth", "--name", "grey", cwd=place)
    facts = json.loads((place / "runs" / "grey" / "artifact" / "artifact.json").read_text(encoding="utf-8"))
    (op,) = facts["preprocess"]["transform"]["input"]
    assert op["op"] == "normalise"
    assert len(op["mean"]) == len(op["deviation"]) == 1
