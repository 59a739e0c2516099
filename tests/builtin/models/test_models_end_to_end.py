"""Built-in models on the command line: train, plan and export."""

import csv
import importlib.util
import json
import random
from pathlib import Path

import numpy as np
import pytest

from benchdog.api import Raw
from benchdog.model.load import open_model
from benchdog.plugins import Plugins
from support.in_process import run, run_export, same, weights

pytestmark = pytest.mark.usefixtures("weights_alone")

UNET = ["--model", "unet", "--set", "model.width=4", "--set", "source.count=40", "--set", "source.size=16", "--quiet"]


TWO = """
from torch import nn

class Two(nn.Module):
    def __init__(self, aside: bool = True):
        super().__init__()
        self.aside, self.flat = aside, nn.Flatten()
        self.first, self.second = nn.Linear(64, 10), nn.Linear(64, 10)

    def forward(self, x):
        x = self.flat(x)
        score = self.first(x)
        return {"score": score, "auxiliary": [(0.5, self.second(x))]} if self.aside else {"score": score}
"""
SGD = """
class Sgd:
    def train(self, session):
        import torch

        optimizer = torch.optim.SGD(session.model.parameters(), lr=0.05)
        session.track(optimiser=optimizer)
        for _ in session.epochs():
            for batch in session.batches():
                loss, weight = session.task.loss(session.model(*batch.inputs), batch)
                session.backward(loss, weight, batch)
                if batch.last:
                    session.device.step(optimizer)
                    optimizer.zero_grad()
                    session.step_done(loss.detach(), weight)
            session.epoch_done(session.evaluate())
        return session.model
"""


def people(path: Path) -> Path:
    """Write a table whose target depends on a category and on a number with gaps, plus a noise column."""
    draw = random.Random(0)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["town", "age", "noise", "buys"])
        for _ in range(300):
            town, age = draw.choice(["Rome", "Oslo", "Bern", ""]), draw.uniform(20, 80)
            buys = {"Rome": 30, "Oslo": -20, "Bern": 0, "": 0}[town] + age > 50
            shown = "" if draw.random() < 0.1 else f"{age:.1f}"
            writer.writerow([town, shown, f"{draw.random():.3f}", "yes" if buys else "no"])
    return path


@pytest.mark.slow
@pytest.mark.parametrize(("dimensions", "size"), [(2, 16), (3, 8)])
def test_deep_supervision_with_gradient_accumulation(tmp_path, dimensions, size):
    sized = [word.replace("source.size=16", f"source.size={size}") for word in UNET]
    given = [*sized, "--set", f"source.dimensions={dimensions}", "--set", "model.levels=2", "--epochs", 1]
    deep = [*given, "--set", "model.deep_supervision=true"]
    run("train", "shapes", *deep, "--name", "whole", cwd=tmp_path)
    run("train", "shapes", *deep, "--set", "loop.accumulate=4", "--name", "cut", cwd=tmp_path)
    run("train", "shapes", *given, "--name", "plain", cwd=tmp_path)
    whole, cut, plain = (weights(tmp_path / "runs" / name) for name in ("whole", "cut", "plain"))
    assert {name for name in whole if ".coarse." in name} == whole.keys() - plain.keys()
    for name, value in whole.items():
        np.testing.assert_allclose(cut[name], value, rtol=2e-3, atol=2e-4, err_msg=name)
    assert any(not np.allclose(whole[name], plain[name], atol=1e-5) for name in plain)
    # Metrics of training and validation are logged as without deep supervision.
    (line,) = [json.loads(line) for line in (tmp_path / "runs/whole/metrics.jsonl").read_text().splitlines()][-1:]
    assert {"train.loss", "valid.loss", "valid.iou"} <= line.keys()


@pytest.mark.usefixtures("graph_and_report")
def test_third_party_trainer_trains_third_party_auxiliary_loss(tmp_path):
    (tmp_path / "two.py").write_text(TWO, encoding="utf-8")
    (tmp_path / "sgd.py").write_text(SGD, encoding="utf-8")
    given = ["digits", "--model", "two.py:Two", "--trainer", "sgd.py:Sgd", "--epochs", 4, "--quiet"]
    run("train", *given, "--name", "two", cwd=tmp_path)
    run("train", *given, "--set", "model.aside=false", "--name", "one", cwd=tmp_path)
    two, one = (weights(tmp_path / "runs" / name) for name in ("two", "one"))
    # Each linear layer trains alone, so a lower weight only slows it; without one the second is never trained.
    (second,) = [name for name in two if name.endswith("second.weight")]
    assert not np.array_equal(two[second], one[second])
    assert run("evaluate", "two", "--json", cwd=tmp_path).json["metrics"]["accuracy"] > 0.8


def test_tabular_model_stores_category_codes_in_its_artifact(tmp_path):
    data = people(tmp_path / "people.csv")
    given = ["--data", data, "--target", "buys", "--model", "tabular", "--set", "model.width=32", "--quiet"]
    run("train", "csv", *given, "--epochs", 20, "--name", "people", cwd=tmp_path)
    run("train", "csv", *given, "--epochs", 20, "--name", "again", cwd=tmp_path)
    assert same(tmp_path / "runs" / "people", tmp_path / "runs" / "again")
    assert run("evaluate", "people", "--json", cwd=tmp_path).json["metrics"]["accuracy"] > 0.75
    meta = json.loads((tmp_path / "runs/people/artifact/artifact.json").read_text(encoding="utf-8"))
    (table,) = meta["preprocess"]["transform"]["input"]
    assert (table["op"], table["categories"], table["missing"]) == ("table", "codes", ["age"])
    opened = open_model(tmp_path / "runs" / "people", Plugins.discover())
    rows = [{"town": town, "age": 45, "noise": 0.5} for town in ("Rome", "Oslo", "Paris", None)]
    labels = [answer.values["label"] for answer in opened.predict([sample(i, row) for i, row in enumerate(rows)])]
    assert labels[:2] == ["yes", "no"]
    # An unknown town is treated as missing.
    (paris, none) = (opened.predict([sample(0, row)])[0].values["probability"] for row in rows[2:])
    assert paris == none
    # The baselines see categories as columns, whatever the model asks for.
    baselines = json.loads((tmp_path / "runs/people/baseline.json").read_text(encoding="utf-8"))["lines"]
    run("train", "csv", *given[:4], "--model", "linear", "--epochs", 1, "--quiet", "--name", "one-hot", cwd=tmp_path)
    run("evaluate", "one-hot", cwd=tmp_path)
    others = json.loads((tmp_path / "runs/one-hot/baseline.json").read_text(encoding="utf-8"))["lines"]
    for mine, theirs in zip(baselines, others, strict=True):
        assert mine["metrics"]["accuracy"] == pytest.approx(theirs["metrics"]["accuracy"], abs=0.01)


def sample(number, row):
    return Raw(id=str(number), fields={"input": row})


def test_plan_counts_parameters_and_flops(tmp_path):
    plan = run("plan", "digits", "--model", "mlp", "--set", "loop.batch_size=10", "--json", cwd=tmp_path).json
    products = 64 * 128 + 128 * 128 + 128 * 10
    assert plan["needs"]["parameters"] == products + 128 + 128 + 10
    # A multiplication and an addition each; backwards the weights' and, but for the first layer, the inputs' share.
    assert plan["flops"]["forward"] == 2 * products
    assert plan["flops"]["training"] == 2 * products + 2 * products + 2 * (products - 64 * 128)
    assert plan["flops"]["step"] == 10 * plan["flops"]["training"]
    output = run("plan", "digits", "--model", "vit", cwd=tmp_path).out
    assert "22 MFLOPs per inference" in output


def test_plan_counts_attention_flops(tmp_path):
    (tmp_path / "a.txt").write_text("to be or not to be, " * 100, encoding="utf-8")
    small = ["--set", "model.width=8", "--set", "model.layers=1", "--set", "model.heads=2"]
    flops = run("plan", "text", "--data", "a.txt", "--set", "source.length=16", *small, "--json", cwd=tmp_path).json[
        "flops"
    ]
    vocabulary = len(set("to be or not to be, "))
    linear = 16 * (8 * 24 + 8 * 8 + 2 * 8 * 32 + 8 * vocabulary)
    assert flops["forward"] == 2 * (linear + 2 * 16 * 16 * 8)


@pytest.mark.slow
@pytest.mark.parametrize("exporter", ["torch-export", "onnx"])
@pytest.mark.parametrize("case", ["vit", "resnet", "tabular", "transformer", "gpt", "unet"])
def test_exported_models_pass_verification(tmp_path, case, exporter):
    if exporter == "onnx" and importlib.util.find_spec("benchdog_onnx") is None:
        pytest.skip("benchdog-onnx is not installed")
    data = people(tmp_path / "people.csv")
    size = ["--set", "model.width=16"]
    cases: dict[str, list[object]] = {
        "vit": ["digits", "--model", "vit", *size],
        "resnet": ["digits", "--model", "resnet", "--set", "model.depth=10", "--set", "model.width=8"],
        "tabular": ["csv", "--data", data, "--target", "buys", "--model", "tabular"],
        "transformer": ["text", "--data", data, "--set", "source.column=town", "--set", "source.label=buys", *size],
        "gpt": ["text", "--data", data, "--set", "source.column=noise", "--set", "source.length=8", *size],
        "unet": ["shapes", *UNET[:-1], "--set", "model.deep_supervision=true"],
    }
    if case == "transformer":
        lines = [line for line in data.read_text(encoding="utf-8").splitlines() if not line.startswith(",")]
        data.write_text("\n".join(lines), encoding="utf-8")
    run("train", *cases[case], "--epochs", 1, "--name", "it", "--quiet", cwd=tmp_path)
    report = run_export("it", "--to", exporter, "--json", cwd=tmp_path).json
    assert [line["ok"] for line in report["verification"]]
    assert {line["batch"] for line in report["verification"]} >= {1, 2, 128}
