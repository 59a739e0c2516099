"""A third-party model `tiny` with published weights, and training runs of it on digits."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from benchdog.model.weights import read, renamed
from support.command import Result
from support.in_process import run

PLUGIN = """
from pathlib import Path

import torch
from torch import nn

from benchdog.api import Field, ModelInfo, NotAvailable, Preprocess, Spec, Target, hookimpl

CONTRACT = 1
HERE = Path(__file__).parent


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm = nn.BatchNorm1d(width)
        self.first = nn.Linear(width, width)

    def forward(self, x):
        return x + torch.relu(self.first(self.norm(x)))


class Net(nn.Module):
    def __init__(self, channels, outputs):
        super().__init__()
        self.stem = nn.Linear(channels * 64, 12)
        self.blocks = nn.Sequential(Block(12), Block(12))
        self.last = nn.Linear(12, outputs)

    def forward(self, x):
        return self.last(self.blocks(self.stem(x.flatten(1))))


def build(spec, options=None):
    return Net(spec.channels, spec.outputs)


class Published:
    task = "classification"
    rename = ((r"^old_", ""),)
    transform = ({"op": "normalise", "mean": [100.0], "deviation": [50.0]},)

    def weights(self):
        path = HERE / "published.pth"
        if not path.is_file():
            raise NotAvailable("The weights of tiny are not here.", "pip install tiny-weights")
        return path

    def preprocess(self):
        image = {"op": "image", "mode": "L", "height": 8, "width": 8, "middle": 0.5}
        return Preprocess(decode={"input": [image]}, transform={"input": list(self.transform)})

    def spec(self):
        field = Field(kind="image", shape=(1, 8, 8), dtype="uint8", range=(0, 255))
        return Spec(fields=(field,), target=Target(kind="class", classes=("dark", "bright", "odd")))


@hookimpl
def benchdog_models():
    return [ModelInfo(name="tiny", summary="A net.", target=":build", pretrained=":Published")]
"""


def write_pretrained(folder: Path) -> Path:
    """Write a third-party model `tiny`, its published weights, and a run `first` on digits to a folder."""
    (folder / "tiny.py").write_text(PLUGIN, encoding="utf-8")
    namespace: dict[str, Any] = {"__file__": str(folder / "tiny.py")}
    exec(compile(PLUGIN, "tiny.py", "exec"), namespace)
    torch.manual_seed(1)
    net = namespace["Net"](1, 3)
    with torch.no_grad():  # the third class is never predicted
        net.last.bias.copy_(torch.tensor([0.0, 0.0, -100.0]))
    torch.save({"state_dict": {f"old_{k}": v for k, v in net.state_dict().items()}}, folder / "published.pth")
    train(folder, "first", "--epochs", 2)
    return folder


def train(place: Path, name: str, *more: object, code: int = 0) -> Result:
    model = () if "model.name=cnn" in more else ("--model", "tiny")
    return run("--plugin", place / "tiny.py", "train", "digits", *model, "--name", name, *more, cwd=place, code=code)


def fine_tune(place: Path, name: str, *settings: str, code: int = 0, epochs: int = 2) -> Result:
    more = [word for setting in settings for word in ("--set", setting)]
    return train(place, name, "--epochs", epochs, *more, code=code)


def model_of(place: Path, name: str) -> dict[str, torch.Tensor]:
    stored = load_file(place / "runs" / name / "artifact" / "model.safetensors")
    return {k.removeprefix("model."): v for k, v in stored.items() if k.startswith("model.")}


def published(place: Path) -> dict[str, torch.Tensor]:
    return renamed(read(place / "published.pth"), [("^old_", "")])


def facts(place: Path, name: str) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((place / "runs" / name / "run.json").read_text(encoding="utf-8"))
    return facts
