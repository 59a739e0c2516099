"""Models that use one module, or one tensor, under several names: trained, stored once, exported."""

import json

import pytest
import torch
from safetensors.numpy import load_file, save_file
from torch import nn

from benchdog.errors import BadData
from benchdog.model.rebuild import load_weights, save_weights
from support.in_process import run, run_export

TIED = """
from torch import nn


class Net(nn.Module):
    def __init__(self, spec):
        super().__init__()
        block = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), nn.BatchNorm2d(1))
        self.blocks = nn.Sequential(*(2 * [block]))
        self.last = nn.Sequential(nn.Flatten(), nn.Linear(64, spec.outputs))

    def forward(self, x):
        return self.last(self.blocks(x))
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tied")
    (folder / "tied.py").write_text(TIED, encoding="utf-8")
    run("train", "digits", "--model", "tied.py:Net", "--epochs", 1, "--name", "tied", "--quiet", cwd=folder)
    return folder


@pytest.mark.parametrize("exporter", ["torchscript", "torch-export", "safetensors", "onnx"])
def test_model_with_a_shared_module_exports(place, exporter):
    if exporter == "onnx":
        pytest.importorskip("benchdog_onnx")
    result = run_export("tied", "--to", exporter, "--json", cwd=place).json
    assert all(line["ok"] for line in result["verification"])


def test_model_with_a_shared_module_is_evaluated_and_fine_tuned(place):
    run("evaluate", "tied", cwd=place)
    start = ("--set", "start.weights=tied", "--set", "start.head=keep", "--epochs", 1)
    told = run("train", "digits", "--model", "tied.py:Net", *start, "--name", "tuned", cwd=place).err
    assert "100.0% of the parameters" in told


UNUSUAL = """
from torch import nn


class Lazy(nn.Sequential):
    def __init__(self, spec):
        super().__init__(nn.LazyConv2d(2, 3), nn.LazyBatchNorm2d(), nn.Flatten(), nn.LazyLinear(spec.outputs))


class Normed(nn.Sequential):
    def __init__(self, spec):
        super().__init__(nn.utils.weight_norm(nn.Conv2d(1, 2, 3)), nn.Flatten(), nn.Linear(72, spec.outputs))
"""


@pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm` is deprecated:FutureWarning")
@pytest.mark.parametrize("name", ["Lazy", "Normed"])
def test_models_with_tensors_of_their_own_are_stored_and_read_back(tmp_path, weights_alone, name):
    """Lazy layers have no weights before the first pass; weight_norm computes one at each, which can't be copied."""
    (tmp_path / "unusual.py").write_text(UNUSUAL, encoding="utf-8")
    run("train", "digits", "--model", f"unusual.py:{name}", "--epochs", 1, "--name", name, "--quiet", cwd=tmp_path)
    scores = run("evaluate", name, "--split", "valid", "--json", cwd=tmp_path).json["metrics"]
    best = json.loads((tmp_path / "runs" / name / "run.json").read_text(encoding="utf-8"))["best"]
    assert scores["accuracy"] == pytest.approx(best["value"], abs=0.01)


class Tied(nn.Module):
    """One layer under two names, a weight used by two layers, and a view of a part of it."""

    def __init__(self) -> None:
        super().__init__()
        self.one = self.two = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
        self.head = nn.Linear(3, 3)
        self.head.register_parameter("weight", self.get_parameter("one.0.weight"))
        self.register_buffer("part", self.head.bias.detach()[:2])


def test_shared_tensors_are_stored_once_and_read_back(tmp_path):
    path, model = tmp_path / "model.safetensors", Tied()
    model.get_buffer("one.1.num_batches_tracked").fill_(7)
    save_weights(model, path)
    stored = load_file(path)
    assert set(stored) == {"head.bias", "head.weight", "one.0.bias", "part",
                           *(f"one.1.{name}" for name in model.one[1].state_dict())}  # fmt: skip
    other = Tied()
    load_weights(other, path)
    for name, value in model.state_dict().items():
        assert torch.equal(other.state_dict()[name], value), name
    # an alias of another choice is as good, and both of them are
    save_file({name.replace("one.", "two."): x for name, x in stored.items()}, path)
    load_weights(Tied(), path)
    save_file({**stored, **{name.replace("one.", "two."): x for name, x in stored.items()}}, path)
    load_weights(Tied(), path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"head.bias": None}, "lacks 'head.bias'"),
        ({"more": torch.zeros(1).numpy()}, "holds 'more'"),
        ({"head.bias": torch.zeros(4).numpy()}, "size mismatch for head.bias"),
    ],
)
def test_other_weights_are_refused(tmp_path, change, message):
    path = tmp_path / "model.safetensors"
    save_weights(Tied(), path)
    stored = {**load_file(path), **change}
    save_file({name: x for name, x in stored.items() if x is not None}, path)
    with pytest.raises(BadData, match=message):
        load_weights(Tied(), path)
