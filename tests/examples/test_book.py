"""Networks in the style of a textbook, used unchanged: trained from its checkpoints, exported, served, predicting."""

import importlib
import json
import re
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from support.in_process import run, run_export, train, weights

BOOK = Path(__file__).parents[2] / "examples" / "book"
pytestmark = [
    pytest.mark.usefixtures("weights_alone"),
    pytest.mark.filterwarnings("ignore:`torch.jit.:DeprecationWarning"),
]
VOLUMES = '''
"""Made-up volumes, bright or dark in the middle, as (1, D, H, W) arrays."""
import numpy as np
from benchdog.api import Field, Raw, SourceInfo, Spec, Target, hookimpl

CONTRACT = 1


@hookimpl
def benchdog_sources():
    return [SourceInfo(name="volumes", summary="For a test.", target=":Volumes")]


class Volumes:
    def spec(self):
        field = Field(kind="volume", shape=(1, 8, 12, 12), dtype="float32")
        return Spec(fields=(field,), target=Target(kind="class", classes=("no", "nodule")))

    def open(self):
        draw = np.random.default_rng(0)
        x = draw.normal(0, 1, (60, 1, 8, 12, 12)).astype("float32")
        x[::2, :, 2:6, 4:8, 4:8] += 3
        return [Raw(id=str(i), fields={"input": v}, target=(i + 1) % 2) for i, v in enumerate(x)]
'''


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Return a folder with images of two classes, a source of volumes, and checkpoints of every network."""
    folder = tmp_path_factory.mktemp("book")
    (folder / "volumes.py").write_text(VOLUMES, encoding="utf-8")
    draw = np.random.default_rng(0)
    for name, bright in (("airplane", 80), ("bird", 170)):
        (folder / "images" / name).mkdir(parents=True)
        for i in range(20):
            pixels = np.clip(draw.normal(bright, 40, (32, 32, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / "images" / name / f"{i}.png")
    np.save(folder / "volume.npy", draw.normal(0, 1, (1, 8, 12, 12)).astype(np.float32))
    return folder


@pytest.fixture(scope="module", autouse=True)
def importable():
    """Let this test import the networks as their author's scripts would."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BOOK))
        yield


def network(file, name):
    """Build a network of the book with weights that are the same in each process."""
    torch.manual_seed(3)
    return getattr(importlib.import_module(file), name)().eval()


def plain(state):
    return state


def checkpoint(state):
    optimizer = {"state": {0: {"step": torch.tensor(1.0)}}, "param_groups": [{"lr": 0.1, "params": [0]}]}
    return {"model_state": state, "model_name": "Net", "optimizer_state": optimizer, "epoch": 7, "time": "now"}


def parallel(state):
    return {f"module.{name}": tensor for name, tensor in state.items()}


def lightning(state):
    compiled = {f"model._orig_mod.{name}": tensor for name, tensor in state.items()}
    return {"state_dict": compiled, "hyper_parameters": {"lr": 0.1}, "pytorch-lightning_version": "2.0"}


IMAGES, SHAPES = ("./images",), ("shapes", "--set", "source.count=40", "--set", "source.size=16")
VOLUME = ("--plugin", "volumes.py")
CHAPTERS: dict[str, tuple[Any, ...]] = {
    "ch02": ("ch02_resnet", "ResNet", IMAGES, plain, "net.pth", ()),
    "ch08": ("ch08_birds", "NetResDeep", IMAGES, parallel, "birds.pt", ()),
    "ch11": ("ch11_luna", "LunaModel", ("volumes",), checkpoint, "cls_2020.best.state", ()),
    "ch13": ("ch13_unet", "UNetWrapper", SHAPES, checkpoint, "seg", ()),
    "ch14": ("ch14_malignancy", "MalignancyModel", ("volumes",), checkpoint, "mal.state", ()),
    "ch15": ("ch15_deploy", "Deployed", IMAGES, lightning, "deployed.ckpt", ()),
}


def trained(place, chapter, run_name):
    """Fine-tune a chapter's network so gently that its weights stay; return what was said."""
    file, name, source, saved, weights_file, settings = CHAPTERS[chapter]
    torch.save(saved(network(file, name).state_dict()), place / weights_file)
    settings = (*settings, f"start.weights={weights_file}", "start.head=keep", "trainer.lr=1e-12")
    words = [word for setting in settings for word in ("--set", setting)]
    plugin = VOLUME if source == ("volumes",) else ()
    model = ("--model", f"{BOOK / file}.py:{name}", "--epochs", 1, "--batch-size", 16, "--name", run_name)
    return run(*plugin, "train", *source, *model, *words, cwd=place).err


@pytest.mark.slow
@pytest.mark.parametrize("chapter", CHAPTERS)
def test_network_of_a_chapter_is_trained_from_its_checkpoint_exported_and_predicts(place, chapter):
    file, name, source, *_ = CHAPTERS[chapter]
    said = trained(place, chapter, chapter)
    assert "100.0% of the parameters" in said
    kept = {key.removeprefix("model."): value for key, value in weights(place / "runs" / chapter).items()}
    for key, value in network(file, name).named_parameters():
        if key in kept:  # of shared weights one name is stored
            np.testing.assert_allclose(kept[key], value.detach().numpy(), atol=1e-6)
    plugin = VOLUME if source == ("volumes",) else ()
    formats = ["torchscript", "torch-export", "onnx", "safetensors"]
    if chapter == "ch15":  # a loop over values: no graph can hold it, a scripted function in a trace can
        formats = ["torchscript", "safetensors"]
    for exporter in formats:
        if exporter == "onnx":
            pytest.importorskip("benchdog_onnx")
        result = run_export(chapter, "--to", exporter, "--json", cwd=place).json
        assert result["verification"], exporter
        assert all(line["ok"] for line in result["verification"]), exporter
    item = "volume.npy" if plugin else "images/bird/1.png"
    answers = [run(*plugin, "predict", chapter, item, "--json", cwd=place).json["answers"][0]]
    for exporter in formats:
        exported = f"runs/{chapter}/exports/{exporter}"
        answers.append(run(*plugin, "predict", exported, item, "--json", cwd=place).json["answers"][0])
    if "probabilities" in answers[0]:
        assert len(answers[0]["probabilities"]) == 2
        assert sum(answers[0]["probabilities"].values()) == pytest.approx(1)
    for other in answers[1:]:
        assert other.keys() == answers[0].keys()
        for key, value in answers[0].get("probabilities", answers[0].get("classes")).items():
            assert other.get("probabilities", other.get("classes"))[key] == pytest.approx(value, abs=1e-4)


@pytest.mark.parametrize("name", ["Net", "NetWidth", "NetBatchNorm", "NetDropout", "NetRes", "NetResDeep"])
def test_networks_of_chapter_8_train_with_view_after_a_convolution(place, name):
    l2 = ("--set", "trainer.weight_decay=0.001")
    model = ("--model", f"{BOOK / 'ch08_birds.py'}:{name}", *l2, "--batch-size", 16, "--epochs", 2, "--name", name)
    said = train("./images", *model, cwd=place).err
    assert re.search(r"valid.accuracy [01]\.\d", said)
    assert "channels_last is off" in said


def test_weights_without_a_run_predict_what_the_network_itself_does(place):
    pixels = np.asarray(Image.open(place / "images" / "bird" / "1.png")).transpose(2, 0, 1) / np.float32(255)
    x = torch.from_numpy((pixels - np.float32(0.5)) / np.float32(0.25))[None]
    size = ("--classes", "airplane,bird", "--input", "3x32x32", "--mean", "0.5", "--std", "0.25,0.25,0.25")
    for chapter, positive in (("ch08", None), ("ch15", "bird")):
        file, name, _, saved, weights_file, _ = CHAPTERS[chapter]
        net = network(file, name)
        torch.save(saved(net.state_dict()), place / weights_file)
        model = (f"{BOOK / file}.py:{name}", "--weights", weights_file, *size)
        told = run("predict", *model, "images/bird/1.png", "--json", cwd=place)
        with torch.no_grad():
            score = net(x)
            expected = score.softmax(1)[0, 1] if positive is None else score.sigmoid()[0]
        assert told.json["answers"][0]["probabilities"]["bird"] == pytest.approx(float(expected), abs=1e-5)
        assert ("logit of 'bird'" in told.err) is (positive is not None)
    turned = run("predict", *model, "--set", "output.positive=airplane", "images/bird/1.png", "--json", cwd=place)
    assert turned.json["answers"][0]["probabilities"]["airplane"] == pytest.approx(float(expected), abs=1e-5)


def test_weights_without_a_run_of_volumes_and_masks(place):
    for chapter, size, item, more in (
        ("ch11", "1x8x12x12", "volume.npy", ()),
        ("ch13", "1x32x32", "images/bird/1.png", ("--task", "segmentation")),
    ):
        file, name, _, saved, weights_file, _ = CHAPTERS[chapter]
        net = network(file, name)
        torch.save(saved(net.state_dict()), place / weights_file)
        model = (f"{BOOK / file}.py:{name}", "--weights", weights_file, "--classes", "no,yes", "--input", size)
        answer = run("predict", *model, *more, item, "--json", cwd=place).json["answers"][0]
        with torch.no_grad():
            if chapter == "ch11":
                expected = float(net(torch.from_numpy(np.load(place / item))[None])[1][0, 1])
                assert answer["probabilities"]["yes"] == pytest.approx(expected, abs=1e-5)
            else:
                gray = np.asarray(Image.open(place / item).convert("L"), np.float32) / 255
                share = float((net(torch.from_numpy(gray)[None, None]) > 0.5).float().mean())
                assert answer["classes"]["yes"] == pytest.approx(share, abs=2e-3)


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        ({"--classes": None}, 2, "doesn't hold the names of the classes"),
        ({"--input": None}, 2, "doesn't say what the network takes"),
        ({"--input": "3x32"}, 2, "--input is '3x32'"),
        ({"--input": "3x40x40"}, 2, "doesn't fit the data"),
        ({"--mean": "1,2"}, 2, "--mean has 2 numbers for 3 channels"),
        ({"--mean": "a"}, 2, "--mean a isn't numbers"),
        ({"--weights": "whole.pt"}, 5, "holds code, which isn't run"),
        ({"--weights": "two.pt"}, 2, "generator (2 tensors), judge (2 tensors)"),
        ({"--weights": "other.pt"}, 5, "doesn't fit"),
        ({"--weights": "gone.pt"}, 2, "There is no file gone.pt"),
        ({"--set": "length=3"}, 2, "begin with model., start. or output."),
        ({"--weights": None}, 2, "describe a network with --weights"),
    ],
)
def test_weights_without_a_run_need_what_no_file_says(place, change, code, said):
    net = network("ch08_birds", "Net")
    torch.save(net.state_dict(), place / "plain.pt")
    torch.save(net, place / "whole.pt")
    one, other = (torch.nn.Linear(2, 2).state_dict() for _ in range(2))
    torch.save({"generator": one, "judge": other}, place / "two.pt")
    torch.save(one, place / "other.pt")
    given = {"--weights": "plain.pt", "--classes": "airplane,bird", "--input": "3x32x32"} | change
    words = [word for flag, value in given.items() if value is not None for word in (flag, value)]
    found = run("predict", f"{BOOK / 'ch08_birds.py'}:Net", *words, "images/bird/1.png", cwd=place, code=code)
    assert said in found.err
    assert "Traceback" not in found.err


def test_part_of_the_weights_is_loaded_below_a_new_head(place):
    torch.save(checkpoint(network("ch11_luna", "LunaModel").state_dict()), place / "cls.state")
    words = ("--set", "start.weights=cls.state", "--set", "trainer.freeze_groups=-1")
    model = ("--model", f"{BOOK / 'ch14_malignancy.py'}:MalignancyModel", "--epochs", 1, "--batch-size", 16)
    said = run(*VOLUME, "train", "volumes", *model, *words, "--name", "new-head", cwd=place).err
    assert "reinitialized: head_linear.0.weight" in said
    first = network("ch11_luna", "LunaModel").block1.conv1.weight.detach().numpy()
    np.testing.assert_array_equal(weights(place / "runs" / "new-head")["model.block1.conv1.weight"], first)


@pytest.mark.slow
def test_network_with_a_scripted_loop_is_served_over_a_socket(place):
    pytest.importorskip("benchdog_serve")
    trained(place, "ch15", "served")
    expected = run("predict", "served", "images/bird/1.png", "--json", cwd=place).json["answers"][0]["probabilities"]
    command = [sys.executable, "-m", "benchdog", "serve", "served", "--port", "0"]
    with subprocess.Popen(command, cwd=place, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as server:
        try:
            assert server.stderr is not None
            url = next(match[0] for line in server.stderr if (match := re.search(r"http://127\.0\.0\.1:\d+", line)))
            data = (place / "images" / "bird" / "1.png").read_bytes()
            request = urllib.request.Request(f"{url}/predict", data, {"Content-Type": "image/png"})
            with urllib.request.urlopen(request, timeout=60) as response:
                answer = json.load(response)
        finally:
            server.terminate()
    found = answer.get("answers", [answer])[0]["probabilities"]
    assert found == pytest.approx(expected, abs=1e-5)
