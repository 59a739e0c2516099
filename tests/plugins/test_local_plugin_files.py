"""Runs used without naming their local plugin: the copy in the run, or the exported graph."""

import json
import shutil

import pytest

import benchdog
from benchdog.api import NotAvailable, TaskInfo
from benchdog.deployment import export
from benchdog.evaluation.report import facts
from benchdog.plugins import Plugins
from support.export_jobs import exports_in_process
from support.in_process import Live, run, run_export

NETS = """
from torch import nn
from benchdog.api import ModelInfo, hookimpl

class Net(nn.Module):
    def __init__(self, spec, options=None):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(64, spec.outputs))

    def forward(self, x):
        return self.layers(x)

@hookimpl
def benchdog_models():
    return [ModelInfo(name="my-net", summary="A test.", target=":Net")]
"""
TASK = """
from benchdog.api import TaskInfo, hookimpl
from benchdog.builtin.tasks.classification import {kind} as Own

@hookimpl
def benchdog_tasks():
    return [TaskInfo(name="own-task", summary="A test.", target=":Own",
                     answer="{answer}", targets=("class",), models={{"image": "linear"}})]
"""


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    place = tmp_path_factory.mktemp("local")
    (place / "my_nets.py").write_text(NETS, encoding="utf-8")
    short = ("--epochs", 1, "--quiet")
    run("--plugin", "my_nets.py", "train", "digits", "--model", "my-net", "--name", "nets", *short, cwd=place)
    return place


def test_local_plugin_model_is_exported_with_the_copy_in_the_run(local):
    for to in ("torch-export", "safetensors"):
        assert "Verified on" in run_export("nets", "--to", to, cwd=local).err


@pytest.fixture(scope="module")
def orphans(local, tmp_path_factory):
    """Return runs whose model can't be rebuilt: its file is gone, or it is a live object of a notebook."""
    place = tmp_path_factory.mktemp("orphans")
    gone = shutil.copytree(local / "runs" / "nets", place / "gone")
    shutil.rmtree(gone / "local")
    shutil.rmtree(gone / "exports", ignore_errors=True)
    meta = json.loads((gone / "artifact" / "artifact.json").read_text(encoding="utf-8"))
    meta["recipe"]["plugins"] = []
    (gone / "artifact" / "artifact.json").write_text(json.dumps(meta), encoding="utf-8")
    live = benchdog.train("digits", model=Live, epochs=1, name="live", runs_dir=place, quiet=True)
    return {"gone": gone, "live": live.folder}


@pytest.mark.parametrize("which", ["gone", "live"])
def test_model_without_its_plugin_is_exported_from_its_graph(orphans, which):
    plugins = Plugins.discover()
    formats = ["torch-export"] + ["onnx"] * ("onnx" in plugins.all("exporter"))
    for to in formats:
        with exports_in_process():
            report = export.export(orphans[which], to, None, plugins)
        assert all(line["ok"] for line in report["verification"])
        assert len(report["verification"]) > 2
    for to in ("safetensors", "torchscript") if which == "live" else ():
        with pytest.raises(NotAvailable) as caught, exports_in_process():
            export.export(orphans[which], to, None, plugins)
        assert "plugin" in str(caught.value)
        assert not (orphans[which] / "exports" / to).exists()


def test_local_task_predicts_with_the_copy_in_the_run(tmp_path, monkeypatch):
    found = Plugins.discover().find("task", "classification")
    assert isinstance(found.info, TaskInfo)
    kind = found.info.target.partition(":")[2]
    (tmp_path / "own.py").write_text(TASK.format(kind=kind, answer=found.info.answer), encoding="utf-8")
    run("--plugin", "own.py", "train", "digits", "--task", "own-task", "--model", "linear", "--epochs", 1,
        "--name", "mine", "--quiet", cwd=tmp_path)  # fmt: skip
    image = next((tmp_path / "runs/mine/artifact/samples").glob("*.*"))
    image = image if image.suffix == ".png" else next((tmp_path / "runs/mine").rglob("*.png"))
    assert "label" in run("predict", "mine", image, cwd=tmp_path).out
    run_export("mine", "--to", "torch-export", cwd=tmp_path)
    assert "label" in run("predict", "runs/mine/exports/torch-export", image, cwd=tmp_path).out
    monkeypatch.setenv("BENCHDOG_STATE", str(tmp_path / "another"))
    refused = run("predict", "mine", image, cwd=tmp_path, code=3)
    assert "benchdog --plugin own.py COMMAND" in refused.err


def test_model_from_a_file_is_listed_without_its_folder(local):
    run("train", "digits", "--model", "my_nets.py:Net", "--name", "ref", "--epochs", 1, cwd=local)
    assert facts.read(local / "runs" / "ref").learner == "my_nets.py:Net"
    listed = run("runs", "list", cwd=local).out
    assert "my_nets.py:Net" in listed
    assert str(local) not in listed


def test_loss_without_gradient_is_refused(tmp_path):
    class Detached(Live):
        def forward(self, x):
            return super().forward(x).detach()

    with pytest.raises(benchdog.errors.BadUsage, match="doesn't depend on any parameter"):
        benchdog.train("digits", model=Detached, epochs=1, name="stuck", runs_dir=tmp_path, quiet=True)
    with pytest.raises(benchdog.errors.BadUsage, match="Run 'stuck' has no artifact yet"):
        benchdog.load("stuck", runs_dir=tmp_path)


@pytest.mark.parametrize(("loss", "message"), [
    ("loss", "float32 tensor of shape (8,)"), ("loss.sum().view(1)", "shape (1,)"), ("(loss + 0j).sum()", "complex"),
])  # fmt: skip
def test_loss_that_is_not_a_real_scalar_is_refused(tmp_path, loss, message):
    (tmp_path / "own.py").write_text(
        "import torch.nn.functional as F\n"
        "from benchdog.builtin.tasks.answers import classification\n"
        "from benchdog.builtin.tasks.classification import Classification\n"
        "class Own(Classification):\n"
        "    answer = classification\n"
        "    def loss(self, score, batch):\n"
        "        loss = F.cross_entropy(score, batch.target, reduction='none')\n"
        f"        return {loss}, float(len(batch.target))\n",
        encoding="utf-8",
    )
    result = run("train", "digits", "--task", "own.py:Own", "--model", "linear", "--batch-size", 8, "--quiet",
                 cwd=tmp_path, code=2)  # fmt: skip
    assert message in result.err
    assert ".sum()" in result.err
