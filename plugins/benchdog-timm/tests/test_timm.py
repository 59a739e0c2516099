"""timm's networks: input shapes, names, published weights, layer groups; in memory."""

import ast
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from benchdog.api import BadUsage, Field, NotAvailable, Spec, Target
from benchdog.model.layer_groups import stages
from benchdog_timm import library
from benchdog_timm.model import build
from benchdog_timm.options import Options
from benchdog_timm.weights import Published
from support.in_process import run

TINY = ("test_resnet", "test_convnext", "test_vit", "test_efficientnet")
"""timm's own test networks."""


def spec_of(channels=3, height=32, width=32, kind="image"):
    field = Field(kind=kind, shape=(channels, height, width), dtype="uint8", range=(0, 255))
    return Spec(fields=(field,), target=Target(kind="class", classes=tuple("abcde"))).with_output(5)


def test_hook_module_is_lightweight_and_declares_its_contract():
    spec = find_spec("benchdog_timm")
    assert spec is not None
    assert spec.origin is not None
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    assert any(isinstance(n, ast.Assign) and ast.unparse(n) == "CONTRACT = 1" for n in tree.body)
    heavy = "{'torch', 'numpy', 'timm', 'torchvision', 'huggingface_hub'}"
    script = f"import sys, benchdog_timm, benchdog_timm.options\nprint(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("net", TINY)
@pytest.mark.parametrize("channels", [1, 3])
def test_network_fits_the_datas_channels_size_and_classes(net, channels):
    built = build(spec_of(channels, 48, 64), Options(net=net)).eval()
    with torch.no_grad():
        assert built(torch.zeros(2, channels, 48, 64)).shape == (2, 5)
    assert not vars(built)["pretrained_cfg"].get("file")


def test_last_layer_group_is_the_head():
    assert stages(build(spec_of(), Options(net="test_resnet")))[-1] == "fc"
    groups = stages(build(spec_of(), Options(net="test_vit")))
    assert groups[0] == "patch_embed"
    assert groups[1] == "blocks.0"
    assert groups[-1] == "head"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, r"needs the name of a network"),
        ({"net": "resnet19"}, r"no network 'resnet19' \(\d,\d+ others\).*\n.*Did you mean .*resnet18"),
        ({"net": "hf-hub:someone/evil"}, r"no network 'hf-hub:someone/evil'"),
        ({"net": "resnet18.imagenet"}, r"no weights 'imagenet'.*\n.*a1_in1k"),
        ({"net": "convnextt_tiny"}, r"Did you mean convnext_tiny"),
    ],
)
def test_unknown_name_suggests_similar_ones(options, message):
    with pytest.raises(BadUsage) as error:
        build(spec_of(), Options(**options))
    assert re.search(message, str(error.value))


def test_data_that_does_not_fit_is_refused():
    with pytest.raises(BadUsage, match="needs one image, but the data is volume"):
        build(spec_of(kind="volume"), Options(net="test_resnet"))
    with pytest.raises(BadUsage, match=r"can't make twins_pcpvt_small for images of 3 x 30 x 30: img_size"):
        build(spec_of(height=30, width=30), Options(net="twins_pcpvt_small"))
    mask = Spec(fields=spec_of().fields, target=Target(kind="mask", classes=("a", "b"))).with_output(2, 32, 32)
    with pytest.raises(BadUsage, match="wants another shape"):
        build(mask, Options(net="test_resnet"))


def test_dropout_and_drop_path_are_passed_to_the_network():
    net = build(spec_of(), Options(net="test_vit", dropout=0.25, drop_path=0.5))
    assert vars(net.get_submodule("head_drop"))["p"] == 0.25
    *_, last = net.get_submodule("blocks").children()
    assert vars(last.get_submodule("drop_path1"))["drop_prob"] == 0.5


def test_inputs_are_normalized_as_the_tagged_weights_require():
    (plain,) = Published(Options(net="resnet18.a1_in1k")).transform
    assert plain["mean"] == pytest.approx([123.675, 116.28, 103.53])
    assert plain["deviation"] == pytest.approx([58.395, 57.12, 57.375])
    (other,) = Published(Options(net="vit_tiny_patch16_224.augreg_in21k")).transform
    assert other["mean"] == pytest.approx([127.5] * 3)
    with pytest.raises(NotAvailable, match=r"Download its model\.safetensors"):
        Published(Options(net="resnet18")).weights()


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            RuntimeError("operator torchvision::nms does not exist"),
            "operator torchvision::nms does not exist.*built for",
        ),
        (ModuleNotFoundError("No module named 'timm'", name="timm"), "needs the package timm"),
        (ModuleNotFoundError("No module named 'yaml'", name="yaml"), "No module named 'yaml'"),
    ],
)
def test_import_error_of_timm_is_explained(error, message, monkeypatch):
    import builtins

    real = builtins.__import__

    def fail(name, *args, **more):
        if name == "timm":
            raise error
        return real(name, *args, **more)

    monkeypatch.setattr(builtins, "__import__", fail)
    with pytest.raises(NotAvailable) as caught:
        library.timm()
    assert re.search(message, str(caught.value), re.DOTALL)


def test_unknown_network_exits_with_2_and_creates_no_run(tmp_path):
    err = run("train", "digits", "--model", "timm", "--set", "model.net=resnet19", cwd=tmp_path, code=2).err
    assert "resnet18" in err
    assert not (tmp_path / "runs").exists()
