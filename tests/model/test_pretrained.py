"""Pretrained models: prediction without a run, and fine-tuning from published weights."""

import hashlib
import json
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F

from benchdog.api import BadData, BadUsage, Field, NotAvailable, Spec, Target
from benchdog.model.rebuild import build_model
from benchdog.model.weights import fill, read
from benchdog.plugins import Plugins, companions
from support.export_jobs import exports_in_process
from support.in_process import run, same, train
from support.pretrained_plugin import facts, fine_tune, model_of, published, write_pretrained

pytestmark = pytest.mark.usefixtures("weights_alone")

COLOR = Field(kind="image", shape=(3, 2, 2), dtype="uint8", range=(0, 255))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Return a folder with a third-party model `tiny`, its published weights, and a run `first` on the digits."""
    return write_pretrained(tmp_path_factory.mktemp("pretrained"))


# --- pretrained models


def test_pretrained_model_predicts_without_a_run(place, monkeypatch):
    shades = {"dark.png": 10, "bright.png": 240}
    for name, shade in shades.items():
        image = np.zeros((16, 32), np.uint8)
        image[4:12, 12:20] = shade  # the middle, the only part the center crop keeps
        Image.fromarray(image).save(place / name)
    result = run("--plugin", "tiny.py", "predict", "tiny", *shades, "--json", cwd=place).json
    tensors = published(place)
    for answer, shade in zip(result["answers"], shades.values(), strict=True):
        x = torch.full((1, 64), (shade - 100) / 50) @ tensors["stem.weight"].T + tensors["stem.bias"]
        for i in (0, 1):
            norm = [tensors[f"blocks.{i}.norm.{k}"] for k in ("running_mean", "running_var", "weight", "bias")]
            normed = F.batch_norm(x, norm[0], norm[1], norm[2], norm[3])
            at = f"blocks.{i}.first"
            x = x + F.relu(normed @ tensors[f"{at}.weight"].T + tensors[f"{at}.bias"])
        expected = (x @ tensors["last.weight"].T + tensors["last.bias"]).softmax(1)[0]
        assert answer["label"] == ("dark", "bright", "odd")[int(expected.argmax())]
        assert answer["probability"] == pytest.approx(float(expected.max()), abs=1e-5)
    monkeypatch.setattr("benchdog.model.artifact.save", None)  # it is made once
    assert run("--plugin", "tiny.py", "predict", "tiny", *shades, "--json", cwd=place).json == result


def test_pretrained_model_exports_to_working_folder(place):
    with exports_in_process():
        result = run("--plugin", "tiny.py", "export", "tiny", "--to", "torchscript", "--json", cwd=place).json
    assert all(line["ok"] for line in result["verification"])
    assert Path(result["path"]) == place / "runs" / "tiny" / "exports" / "torchscript"
    missing = run("--plugin", "tiny.py", "predict", "tony", "bright.png", cwd=place, code=2)
    assert "Pretrained: " in missing.err
    assert "tiny" in missing.err


def test_model_of_missing_companion_package_names_the_package(place, monkeypatch):
    monkeypatch.setitem(companions.PACKAGES, "benchdog-bird", (("model", "wing"), ("model", "tail")))
    missing = run("predict", "wing", "bright.png", cwd=place, code=3).err
    assert "The model 'wing' comes with the package benchdog-bird, which is not installed." in missing
    # as an artifact of before the model moved to that package names it, without a graph
    stored = {"name": "tail", "options": {}, "plugin": {"dist": "benchdog", "install": "pip install benchdog"}}
    with pytest.raises(NotAvailable, match="benchdog-bird"):
        build_model(stored, Spec(fields=(COLOR,), target=Target(kind="class")), Plugins.discover())


# --- fine-tuning


def test_fine_tuning_loads_published_weights_and_preprocessing(place):
    result = fine_tune(place, "from-package", "start.weights=package", "trainer.freeze_groups=-1")
    assert "reinitialized: last.weight (the head)" in result.err
    old, new = published(place), model_of(place, "from-package")
    for name in old:
        if not name.startswith("last"):
            assert torch.equal(old[name], new[name]), name
    assert new["last.weight"].shape == (10, 12)
    start = facts(place, "from-package")["start"]
    assert start["share"] == 1.0
    assert start["sha256"] == hashlib.sha256((place / "published.pth").read_bytes()).hexdigest()
    assert start["fresh"] == {"last.weight": "the head", "last.bias": "the head"}
    meta = json.loads((place / "runs" / "from-package" / "artifact" / "artifact.json").read_text())
    assert meta["preprocess"]["transform"]["input"][0]["op"] == "normalise"
    recipe = tomllib.loads((place / "runs" / "from-package" / "recipe.toml").read_text())
    assert recipe["start"]["sha256"] == start["sha256"]


def test_fine_tuning_from_a_run_is_bit_identical_when_repeated(place):
    fine_tune(place, "second", "start.weights=first", "start.head=keep", "trainer.lr=1e-9", epochs=1)
    old, new = model_of(place, "first"), model_of(place, "second")
    assert torch.allclose(old["stem.weight"], new["stem.weight"], atol=1e-6)
    stored = [load_file(place / "runs" / name / "artifact" / "model.safetensors") for name in ("first", "second")]
    scale = next(k for k in stored[0] if k.startswith("transform.") and k.endswith("scale"))
    assert torch.equal(stored[0][scale], stored[1][scale])
    run("--plugin", "tiny.py", "train", "runs/second/recipe.toml", "--name", "third", cwd=place)
    assert same(place / "runs" / "second", place / "runs" / "third")
    (place / "runs" / "first").rename(place / "runs" / "away")
    run("--plugin", "tiny.py", "evaluate", "second", cwd=place)  # its start weights are no longer needed
    (place / "runs" / "away").rename(place / "runs" / "first")
    plan = run("--plugin", "tiny.py", "plan", "digits", "--model", "tiny", "--set", "start.weights=first", cwd=place)
    assert "tensors read" in plan.out


def test_start_weights_of_other_columns_or_classes_are_refused(tmp_path):
    def write(name, header, classes):
        lines = (f"{i % 7},{i % 5},{classes[i % 2]}" for i in range(60))
        (tmp_path / f"{name}.csv").write_text("\n".join((header, *lines)), "utf-8")
        return "csv", "--data", f"{name}.csv", "--target", "kind"

    first = write("first", "a,b,kind", ("no", "yes"))
    train(*first, "--name", "first", "--epochs", 1, cwd=tmp_path)
    there, keep = ("--set", "start.weights=first"), ("--set", "start.head=keep")
    assert "tensors read" in run("plan", *first, *there, *keep, cwd=tmp_path).out
    swapped = run("plan", *write("swapped", "b,a,kind", ("no", "yes")), *there, cwd=tmp_path, code=2).err
    assert "trained on other columns than the data has: 'a' (number) became 'b' (number)" in swapped
    renamed = write("renamed", "a,b,kind", ("yes", "zero"))
    refused = run("plan", *renamed, *there, *keep, cwd=tmp_path, code=2).err
    assert "predicts the classes no, yes, the data has yes, zero" in refused
    assert "start.head=new" in refused
    run("plan", *renamed, *there, cwd=tmp_path)


def test_start_weights_of_other_tokens_are_refused(tmp_path):
    for name, letters in (("first", "abcd"), ("other", "abce"), ("more", "abcdef")):
        (tmp_path / f"{name}.txt").write_text("".join(f"{letter} {letters} " for letter in letters * 60), "utf-8")
    text = ("text", "--set", "source.unit=character", "--set", "source.length=8", "--data")
    train(*text, "first.txt", "--name", "first", "--epochs", 1, cwd=tmp_path)
    there = ("--set", "start.weights=first")
    assert "tensors read" in run("plan", *text, "first.txt", *there, cwd=tmp_path).out
    refused = run("plan", *text, "other.txt", *there, cwd=tmp_path, code=2).err
    assert "token 4 was b'd', and is b'e'" in refused
    run("plan", *text, "other.txt", *there, "--set", 'start.skip=["embed"]', cwd=tmp_path)
    run("plan", *text, "more.txt", *there, "--set", "start.share=0.1", cwd=tmp_path)


def test_start_weights_from_file_with_rename_and_skip(place):
    old = {f"module.{k}": v for k, v in model_of(place, "first").items()}
    save_file(old, place / "mine.safetensors")
    fine_tune(place, "renamed", "start.weights=mine.safetensors", 'start.rename={"^module[.]" = ""}',
              'start.skip=["blocks.1", "stem.b*"]', "trainer.freeze_groups=-1", epochs=1)  # fmt: skip
    new = model_of(place, "renamed")
    assert torch.equal(new["blocks.0.first.weight"], old["module.blocks.0.first.weight"])
    assert not torch.equal(new["blocks.1.first.weight"], old["module.blocks.1.first.weight"])
    start = facts(place, "renamed")["start"]
    assert start["fresh"]["stem.bias"] == "as asked"
    assert "blocks.1.first.weight" in start["fresh"]


OPTIMIZER = {"state": {0: {"exp_avg": torch.ones(2)}}, "param_groups": [{"lr": 0.1}]}


def test_weights_are_found_in_a_checkpoint_whatever_its_name(place):
    """Saved by a training script among other things, under any name; of several models one is named."""
    net = model_of(place, "first")
    torch.save({"model_state": net, "optimizer_state": OPTIMIZER, "epoch": 3}, place / "net.state")
    result = fine_tune(place, "checkpoint", "start.weights=net.state", "trainer.freeze_groups=-1", epochs=1)
    assert "100.0% of the parameters" in result.err
    both = {"epoch": 3, "nets": {"model": {k: torch.zeros_like(v) for k, v in net.items()}, "ema": net}}
    torch.save(both, place / "both.ckpt", _use_new_zipfile_serialization=False)
    words = ("start.weights=both.ckpt", "start.part=nets.ema", "trainer.freeze_groups=-1")
    fine_tune(place, "part", *words, epochs=1)
    assert torch.equal(model_of(place, "part")["stem.weight"], net["stem.weight"])
    save_file(net, place / "weights.bin")
    fine_tune(place, "bin", "start.weights=weights.bin", epochs=1)
    itself: dict[str, object] = {"state": net}
    itself["self"] = itself
    torch.save(itself, place / "cyclic")
    assert "100.0% of the parameters" in fine_tune(place, "cyclic", "start.weights=cyclic", epochs=1).err


@pytest.mark.parametrize(("settings", "code", "message"), [
    (("start.weights=nobody",), 2, "no run 'nobody'"),
    (("start.weights=nobody",), 2, "nor a file of weights nobody"),
    (("start.weights=folder",), 2, "folder is a folder of another kind"),
    (("start.weights=both.pkl",), 2, "holds the weights of several models: model (1 tensors), ema (1 tensors)"),
    (("start.weights=both.pkl", "start.part=nett"), 2, "start.part is one of: model (1 tensors), ema (1 tensors)"),
    (("start.weights=both.pkl", "start.part=ema"), 2, "Too little of the weights (both.pkl) fits"),
    (("start.weights=first", "start.part=ema"), 2, "names a part of a file"),
    (("start.weights=notes.txt",), 5, "is neither safetensors nor a file of torch.save"),
    (("start.weights=optimizer.pth",), 5, "holds no tensors by name: state, param_groups"),
    (("start.weights=no.safetensors",), 2, "no file"),
    (("start.head=keep",), 2, "no weights"),
    (("start.wieghts=package",), 2, "start.weights"),
    (("start.weights=package", "model.name=cnn"), 2, "No package has weights for the model 'cnn'"),
    (("start.weights=first", "model.name=cnn"), 2, "Too little of the weights"),
    (("start.weights=first", 'start.rename={"(" = ""}'), 2, "regular expression"),
    (("start.weights=first", 'start.rename={"bias" = "weight"}'), 2, "makes two tensors"),
    (("start.weights=first", "start.sha256=abc"), 5, "not those of the recipe"),
    (("start.weights=code.pth",), 5, "isn't run"),
    (("start.weights=damaged.safetensors",), 5, "can't be read"),
    (("start.weights=nan.safetensors",), 5, "finite numbers in 'a'"),
    (("start.weights=first", "trainer.freeze=['stam']"), 2, "Did you mean 'stem'"),
    (("trainer.freeze_groups=4",), 2, "has 4 layer groups"),
    (("trainer.unfreeze_every=1",), 2, "no layer groups are frozen"),
    (("trainer.lora=2", "trainer.average=ema"), 2, "exclude each other"),
    (("trainer.lora=2", "trainer.lora_layers=['nothing']"), 2, "no layer fits 'nothing'"),
    (("trainer.lora=2", "trainer.lora_layers=['last']"), 2, "no linear layer"),
    (("trainer.lora=2", "trainer.layer_decay=0.5"), 2, "exclude each other"),
    (("start.weights=first", "start.skip=['lst']"), 2, "nothing in the model fits 'lst'"),
    (("trainer.freeze=['*']",), 2, "no parameters that learn"),
])  # fmt: skip
def test_invalid_start_settings_are_refused(place, settings, code, message):
    class Evil:
        def __reduce__(self):
            return (print, ("code ran",))

    torch.save({"a": Evil()}, place / "code.pth")
    torch.save({"model": {"a": torch.ones(1)}, "ema": {"a": torch.ones(1)}}, place / "both.pkl")
    torch.save(OPTIMIZER, place / "optimizer.pth")
    (place / "notes.txt").write_text("some words", encoding="utf-8")
    (place / "folder").mkdir(exist_ok=True)
    (place / "damaged.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{")
    save_file({"a": torch.tensor([float("nan")])}, place / "nan.safetensors")
    result = fine_tune(place, f"refused {abs(hash(settings))}", *settings, code=code)
    assert message in result.err
    assert "code ran" not in result.out + result.err
    assert "Traceback" not in result.err


def test_recipe_refuses_start_weights_changed_since(place):
    old = model_of(place, "first")
    save_file(old, place / "changing.safetensors")
    fine_tune(place, "before", "start.weights=changing.safetensors", epochs=1)
    save_file({k: v + 1 if v.is_floating_point() else v for k, v in old.items()}, place / "changing.safetensors")
    recipe = place / "runs" / "before" / "recipe.toml"
    result = run("--plugin", "tiny.py", "train", recipe, "--name", "after", cwd=place, code=5)
    assert "not those of the recipe" in result.err
    run("--plugin", "tiny.py", "train", recipe, "--name", "after", "--set", "start.weights=first", cwd=place)


def test_fill_loads_only_tensors_with_matching_name_shape_and_dtype():
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    given = {"0.weight": torch.ones(4, 3), "0.bias": torch.ones(5), "1.weight": torch.ones(4, dtype=torch.int64),
             "2.weight": torch.ones(2, 4), "extra": torch.ones(1)}  # fmt: skip
    report = fill(net, given)
    assert report.loaded == ["0.weight"]
    assert "(4,), in the file (5,)" in report.fresh["0.bias"]
    assert "in the file torch.int64" in report.fresh["1.weight"]
    assert report.fresh["2.weight"] == "the head"
    assert report.unused == ["0.bias", "1.weight", "extra"]
    assert report.share == pytest.approx(12 / 24)
    assert torch.equal(net.get_parameter("0.weight"), torch.ones(4, 3))
    with pytest.raises(BadData, match="not tensors by name"):
        read(_saved(torch.ones(2)))


def _saved(value):
    from tempfile import mkdtemp

    path = Path(mkdtemp()) / "x.pt"
    torch.save(value, path)
    return path


# --- operations


@given(st.integers(1, 60), st.integers(1, 60), st.floats(0.1, 1))
def test_center_box_has_target_aspect_ratio_and_lies_inside(width, height, share):
    from benchdog.data.decode.operations import _center_box

    left, top, right, bottom = _center_box((width, height), (10, 20), share)
    assert -1e-6 <= left < right <= width + 1e-6
    assert -1e-6 <= top < bottom <= height + 1e-6
    assert (bottom - top) == pytest.approx(2 * (right - left))
    assert (left + right) / 2 == pytest.approx(width / 2)


@pytest.mark.parametrize(("op", "message"), [
    ({"op": "normalise", "mean": [1.0, 2.0], "deviation": [1.0]}, "3 channels"),
    ({"op": "normalise", "mean": [1.0], "deviation": [0.0]}, "above 0"),
    ({"op": "normalise", "mean": ["1"], "deviation": [1.0]}, "must be a number"),
    ({"op": "normalise", "mean": [1.0]}, "deviation = None"),
])  # fmt: skip
def test_normalise_refuses_invalid_parameters(op, message):
    from benchdog.data.transform.operations import build_step

    with pytest.raises(BadUsage) as caught:
        build_step(op, COLOR)
    assert message in f"{caught.value.message} {caught.value.hint}"


def test_normalise_subtracts_mean_and_divides_by_deviation():
    from benchdog.data.transform.operations import build_step

    step = build_step({"op": "normalise", "mean": [1.0, 2.0, 3.0], "deviation": [2.0]}, COLOR)
    x = torch.arange(12, dtype=torch.uint8).reshape(1, 3, 2, 2)
    assert torch.allclose(step(x), (x.float() - torch.tensor([1.0, 2.0, 3.0]).view(3, 1, 1)) / 2)
