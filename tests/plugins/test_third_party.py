"""Third-party components: installed by pip or as a file next to the recipe."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from support.export_jobs import exports_in_process
from support.in_process import run, run_export, same, weights
from support.thirdparty.package import COMPONENTS, package, recipe, single_file
from support.thirdparty.venvs import environment, install, site_packages

pytestmark = pytest.mark.usefixtures("weights_alone")

ROWS = "x,y\n1.0,0.0\n0.0,-2.1\n"


def test_third_party_components_have_at_most_25_lines():
    for name, text in COMPONENTS.items():
        lines = [line for line in text.splitlines() if line.strip()]
        assert len(lines) <= 25, name


@pytest.mark.slow
@pytest.mark.usefixtures("graph_and_report")
def test_third_party_package_installed_by_pip(tmp_path, monkeypatch):
    python = environment(tmp_path / "venv")
    install(python, package(tmp_path / "acme"))
    (tmp_path / "recipe.toml").write_text(recipe(), encoding="utf-8")
    (tmp_path / "points.csv").write_text(ROWS, encoding="utf-8")

    listed = [str(python), "-m", "benchdog", "plugins", "info", "ring-net", "--json"]
    ended = subprocess.run(listed, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert [component["plugin"] for component in json.loads(ended.stdout)["components"]] == ["acme"]
    with monkeypatch.context() as installed:
        installed.syspath_prepend(str(site_packages(tmp_path / "venv")))
        trained = run("train", "recipe.toml", "--name", "mine", "--json", cwd=tmp_path).lines[-1]
        assert (trained["source"], trained["model"], trained["trainer"]) == ("rings", "ring-net", "noisy")
        assert trained["best"]["value"] > 0.95
        report = run_export("mine", "--to", "ring-graph", "--json", cwd=tmp_path).json
        assert report["exporter"] == "ring-graph"
        exported = run("predict", EXPORT, "points.csv", "--json", cwd=tmp_path).json["answers"]
    # The artifact's graph predicts without the model's plugin; the export needs it.
    stored = run("predict", "mine", "points.csv", "--json", cwd=tmp_path).json["answers"]
    for answers in (exported, stored):
        assert [row["label"] for row in answers] == ["inner", "outer"]
    stderr = run("predict", EXPORT, "points.csv", cwd=tmp_path, code=3).err
    assert "benchdog-acme" in stderr
    assert "pip install benchdog-acme" in stderr


EXPORT = str(Path("runs", "mine", "exports", "ring-graph"))


def test_third_party_plugin_as_a_single_file(tmp_path):
    file = single_file(tmp_path / "acme.py")
    (tmp_path / "asked.toml").write_text(recipe(), encoding="utf-8")
    (tmp_path / "named.toml").write_text(recipe('plugins = ["./acme.py"]'), encoding="utf-8")
    (tmp_path / "points.csv").write_text(ROWS, encoding="utf-8")
    run("--plugin", file, "train", "asked.toml", "--name", "asked", "--quiet", cwd=tmp_path)
    run("train", "named.toml", "--name", "named", "--quiet", cwd=tmp_path)
    assert same(tmp_path / "runs" / "asked", tmp_path / "runs" / "named")
    assert (tmp_path / "runs" / "named" / "local" / "acme.py").read_bytes() == file.read_bytes()

    with exports_in_process():
        run("--plugin", file, "export", "named", "--to", "ring-graph", cwd=tmp_path)
    export = tmp_path / "runs" / "named" / "exports" / "ring-graph"
    for model in ("named", export):
        document = run("--plugin", file, "predict", model, "points.csv", "--json", cwd=tmp_path).json
        assert [row["label"] for row in document["answers"]] == ["inner", "outer"]
    # The run keeps a copy of the plugin file, so its recipe works without the original.
    file.unlink()
    run("train", Path("runs", "named", "recipe.toml"), "--name", "again", "--quiet", cwd=tmp_path)
    assert same(tmp_path / "runs" / "named", tmp_path / "runs" / "again")


@pytest.mark.parametrize(
    ("key", "value"), [("model", "acme.py:Net"), ("trainer", "acme.py:Plain"), ("source", "acme.py:Rings")]
)
def test_local_class_needs_no_hook(tmp_path, key, value):
    text = f"{COMPONENTS['source']}\n\n{PLAIN}"
    (tmp_path / "acme.py").write_text(text.replace("self, options):\n        self.count = options.count", OWN))
    source = value if key == "source" else "digits"
    chosen = ["--set", f"{key}={value}"] if key != "source" else ["--set", "source.count=300"]
    run("train", source, "--epochs", 1, "--quiet", "--name", "own", *chosen, cwd=tmp_path)
    facts = run("runs", "show", "own", "--json", cwd=tmp_path).json
    assert "acme.py" in str(facts)


def test_trainer_may_return_a_copy_of_the_model_but_no_other_model(tmp_path):
    (tmp_path / "acme.py").write_text(PLAIN, encoding="utf-8")
    settings = ["--epochs", 1, "--quiet", "--model", "linear"]
    for name in ("Plain", "Averaged"):
        run("train", "digits", "--trainer", f"acme.py:{name}", *settings, "--name", name, cwd=tmp_path)
    plain, averaged = (weights(tmp_path / "runs" / name) for name in ("Plain", "Averaged"))
    for name, values in plain.items():
        half = 0.5 if name.startswith("model.") else 1.0
        np.testing.assert_array_equal(averaged[name], half * values)
    result = run("train", "digits", "--trainer", "acme.py:Other", *settings, cwd=tmp_path, code=2)
    assert "returned a Linear with other weights than 'linear'" in result.err


OWN = "self, count=100):\n        self.count = count"
PLAIN = """
import copy

from torch import nn
import torch


class Net(nn.Module):
    def __init__(self, spec):
        super().__init__()
        self.layer = nn.Linear(64, spec.outputs)

    def forward(self, x):
        return {"score": self.layer(x.flatten(1))}


class Plain:
    def train(self, session):
        optimizer = torch.optim.SGD(session.model.parameters(), lr=0.1)
        session.track(optimizer=optimizer)
        for _ in session.epochs():
            for batch in session.batches():
                loss, weight = session.task.loss(session.model(*batch.inputs), batch)
                session.backward(loss, weight, batch)
                optimizer.step()
                optimizer.zero_grad()
                session.step_done(loss, weight)
            session.epoch_done(session.evaluate())
        return session.model


class Averaged(Plain):
    def train(self, session):
        average = copy.deepcopy(super().train(session))
        for tensor in average.parameters():
            tensor.data *= 0.5
        return average


class Other(Plain):
    def train(self, session):
        super().train(session)
        return nn.Linear(3, 3)
"""
