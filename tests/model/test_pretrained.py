"""Pretrained networks: ready-made ones that answer without a run, and trainings that begin from them."""

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
from support.in_process import run, same
from support.pretrained_plugin import facts, model_of, place_of, published, tuned

COLOR = Field(kind="image", shape=(3, 2, 2), dtype="uint8", range=(0, 255))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Give a folder with a stranger's model `tiny`, its published weights, and a run `first` of it on the digits."""
    return place_of(tmp_path_factory.mktemp("pretrained"))


# --- ready-made models


def test_a_ready_made_model_answers_without_a_run(place, monkeypatch):
    shades = {"dark.png": 10, "bright.png": 240}
    for name, shade in shades.items():
        picture = np.zeros((16, 32), np.uint8)
        picture[4:12, 12:20] = shade  # the middle, which alone is looked at
        Image.fromarray(picture).save(place / name)
    said = run("--plugin", "tiny.py", "predict", "tiny", *shades, "--json", cwd=place).json
    found = published(place)
    for answer, shade in zip(said["answers"], shades.values(), strict=True):
        x = torch.full((1, 64), (shade - 100) / 50) @ found["stem.weight"].T + found["stem.bias"]
        for i in (0, 1):
            norm = [found[f"blocks.{i}.norm.{k}"] for k in ("running_mean", "running_var", "weight", "bias")]
            at = f"blocks.{i}.first"
            x = x + F.relu(F.batch_norm(x, *norm) @ found[f"{at}.weight"].T + found[f"{at}.bias"])
        wanted = (x @ found["last.weight"].T + found["last.bias"]).softmax(1)[0]
        assert answer["label"] == ("dark", "bright", "odd")[int(wanted.argmax())]
        assert answer["probability"] == pytest.approx(float(wanted.max()), abs=1e-5)
    monkeypatch.setattr("benchdog.model.artifact.save", None)  # it is made once
    assert run("--plugin", "tiny.py", "predict", "tiny", *shades, "--json", cwd=place).json == said


def test_a_ready_made_model_is_exported_into_the_working_folder(place):
    told = run("--plugin", "tiny.py", "export", "tiny", "--to", "torchscript", "--json", cwd=place).json
    assert all(line["ok"] for line in told["verification"])
    assert Path(told["path"]) == place / "runs" / "tiny" / "exports" / "torchscript"
    missing = run("--plugin", "tiny.py", "predict", "tony", "bright.png", cwd=place, code=2)
    assert "Pretrained: " in missing.err
    assert "tiny" in missing.err


def test_a_model_of_an_absent_package_leads_to_it(place, monkeypatch):
    monkeypatch.setitem(companions.PACKAGES, "benchdog-bird", (("model", "wing"), ("model", "tail")))
    missing = run("predict", "wing", "bright.png", cwd=place, code=3).err
    assert "The model 'wing' comes with the package benchdog-bird, which is not installed." in missing
    # as an artifact of before the model moved to that package names it, without a graph
    stored = {"name": "tail", "options": {}, "plugin": {"dist": "benchdog", "install": "pip install benchdog"}}
    with pytest.raises(NotAvailable, match="benchdog-bird"):
        build_model(stored, Spec(fields=(COLOR,), target=Target(kind="class")), Plugins.discover())


# --- beginning from weights


def test_the_weights_and_how_they_were_trained_are_taken_over(place):
    said = tuned(place, "from-package", "start.weights=package", "trainer.freeze_groups=-1")
    assert "reinitialized: last.weight (the head)" in said.err
    old, new = published(place), model_of(place, "from-package")
    for name in old:
        if not name.startswith("last"):
            assert torch.equal(old[name], new[name]), name
    assert new["last.weight"].shape == (10, 12)
    told = facts(place, "from-package")["start"]
    assert told["share"] == 1.0
    assert told["sha256"] == hashlib.sha256((place / "published.pth").read_bytes()).hexdigest()
    assert told["fresh"] == {"last.weight": "the head", "last.bias": "the head"}
    meta = json.loads((place / "runs" / "from-package" / "artifact" / "artifact.json").read_text())
    assert meta["preprocess"]["transform"]["input"][0]["op"] == "normalise"
    recipe = tomllib.loads((place / "runs" / "from-package" / "recipe.toml").read_text())
    assert recipe["start"]["sha256"] == told["sha256"]


def test_a_run_is_begun_from_and_repeated_to_the_bit(place):
    tuned(place, "second", "start.weights=first", "start.head=keep", "trainer.lr=1e-9", epochs=1)
    old, new = model_of(place, "first"), model_of(place, "second")
    assert torch.allclose(old["stem.weight"], new["stem.weight"], atol=1e-6)
    stored = [load_file(place / "runs" / name / "artifact" / "model.safetensors") for name in ("first", "second")]
    scale = next(k for k in stored[0] if k.startswith("transform.") and k.endswith("scale"))
    assert torch.equal(stored[0][scale], stored[1][scale])
    run("--plugin", "tiny.py", "train", "runs/second/recipe.toml", "--name", "third", cwd=place)
    assert same(place / "runs" / "second", place / "runs" / "third")
    (place / "runs" / "first").rename(place / "runs" / "away")
    run("--plugin", "tiny.py", "evaluate", "second", cwd=place)  # what it was begun from isn't needed any more
    (place / "runs" / "away").rename(place / "runs" / "first")
    plan = run("--plugin", "tiny.py", "plan", "digits", "--model", "tiny", "--set", "start.weights=first", cwd=place)
    assert "tensors read" in plan.out


def test_files_are_read_with_names_changed_and_parts_left_out(place):
    old = {f"module.{k}": v for k, v in model_of(place, "first").items()}
    save_file(old, place / "mine.safetensors")
    tuned(place, "renamed", "start.weights=mine.safetensors", 'start.rename={"^module[.]" = ""}',
          'start.skip=["blocks.1", "stem.b*"]', "trainer.freeze_groups=-1", epochs=1)  # fmt: skip
    new = model_of(place, "renamed")
    assert torch.equal(new["blocks.0.first.weight"], old["module.blocks.0.first.weight"])
    assert not torch.equal(new["blocks.1.first.weight"], old["module.blocks.1.first.weight"])
    told = facts(place, "renamed")["start"]
    assert told["fresh"]["stem.bias"] == "as asked"
    assert "blocks.1.first.weight" in told["fresh"]


@pytest.mark.parametrize(("settings", "code", "said"), [
    (("start.weights=nobody",), 2, "no run 'nobody'"),
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
def test_mistakes_are_told(place, settings, code, said):
    class Evil:
        def __reduce__(self):
            return (print, ("code ran",))

    torch.save({"a": Evil()}, place / "code.pth")
    (place / "damaged.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{")
    save_file({"a": torch.tensor([float("nan")])}, place / "nan.safetensors")
    result = tuned(place, f"refused {abs(hash(settings))}", *settings, code=code)
    assert said in result.err
    assert "code ran" not in result.out + result.err
    assert "Traceback" not in result.err


def test_weights_that_were_changed_since_are_refused(place):
    old = model_of(place, "first")
    save_file(old, place / "changing.safetensors")
    tuned(place, "before", "start.weights=changing.safetensors", epochs=1)
    save_file({k: v + 1 if v.is_floating_point() else v for k, v in old.items()}, place / "changing.safetensors")
    recipe = place / "runs" / "before" / "recipe.toml"
    said = run("--plugin", "tiny.py", "train", recipe, "--name", "after", cwd=place, code=5)
    assert "not those of the recipe" in said.err
    run("--plugin", "tiny.py", "train", recipe, "--name", "after", "--set", "start.weights=first", cwd=place)


def test_a_model_is_filled_only_where_all_agrees():
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
    assert torch.equal(net[0].weight, torch.ones(4, 3))
    with pytest.raises(BadData, match="not tensors by name"):
        read(_saved(torch.ones(2)))


def _saved(value):
    from tempfile import mkdtemp

    path = Path(mkdtemp()) / "x.pt"
    torch.save(value, path)
    return path


# --- operations


@given(st.integers(1, 60), st.integers(1, 60), st.floats(0.1, 1))
def test_the_middle_has_the_wanted_shape_and_lies_inside(width, height, share):
    from benchdog.data.decode.operations import _center_box

    left, top, right, bottom = _center_box((width, height), (10, 20), share)
    assert -1e-6 <= left < right <= width + 1e-6
    assert -1e-6 <= top < bottom <= height + 1e-6
    assert (bottom - top) == pytest.approx(2 * (right - left))
    assert (left + right) / 2 == pytest.approx(width / 2)


@pytest.mark.parametrize(("op", "said"), [
    ({"op": "normalise", "mean": [1.0, 2.0], "deviation": [1.0]}, "3 channels"),
    ({"op": "normalise", "mean": [1.0], "deviation": [0.0]}, "above 0"),
    ({"op": "normalise", "mean": ["1"], "deviation": [1.0]}, "must be a number"),
    ({"op": "normalise", "mean": [1.0]}, "deviation = None"),
])  # fmt: skip
def test_normalise_refuses(op, said):
    from benchdog.data.transform.operations import build_step

    with pytest.raises(BadUsage) as told:
        build_step(op, COLOR)
    assert said in f"{told.value.message} {told.value.hint}"


def test_normalise_is_what_it_says():
    from benchdog.data.transform.operations import build_step

    step = build_step({"op": "normalise", "mean": [1.0, 2.0, 3.0], "deviation": [2.0]}, COLOR)
    x = torch.arange(12, dtype=torch.uint8).reshape(1, 3, 2, 2)
    assert torch.allclose(step(x), (x.float() - torch.tensor([1.0, 2.0, 3.0]).view(3, 1, 1)) / 2)
