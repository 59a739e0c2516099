"""Runs whose plugin isn't named again: the run's own copy, the graph where there is none, and what is said then."""

import json
import shutil

import pytest

import benchdog
from benchdog.api import NotAvailable, TaskInfo
from benchdog.deployment import export
from benchdog.evaluation.report import facts
from benchdog.plugins import Plugins
from support.in_process import Live, exports_in_process, run, run_export

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


def test_a_local_plugins_model_is_exported_by_the_runs_own_copy(local):
    for to in ("torch-export", "safetensors"):
        assert "Verified on" in run_export("nets", "--to", to, cwd=local).err


@pytest.fixture(scope="module")
def orphans(local, tmp_path_factory):
    """Give runs whose model nobody can build again: a local file that is gone, a notebook's object."""
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
def test_without_its_plugin_a_model_is_exported_by_its_graph(orphans, which):
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


def test_a_local_task_answers_by_the_runs_own_copy(tmp_path, monkeypatch):
    found = Plugins.discover().find("task", "classification")
    assert isinstance(found.info, TaskInfo)
    kind = found.info.target.partition(":")[2]
    (tmp_path / "own.py").write_text(TASK.format(kind=kind, answer=found.info.answer), encoding="utf-8")
    run("--plugin", "own.py", "train", "digits", "--task", "own-task", "--model", "linear", "--epochs", 1,
        "--name", "mine", "--quiet", cwd=tmp_path)  # fmt: skip
    picture = next((tmp_path / "runs/mine/artifact/samples").glob("*.*"))
    picture = picture if picture.suffix == ".png" else next((tmp_path / "runs/mine").rglob("*.png"))
    assert "label" in run("predict", "mine", picture, cwd=tmp_path).out
    run_export("mine", "--to", "torch-export", cwd=tmp_path)
    assert "label" in run("predict", "runs/mine/exports/torch-export", picture, cwd=tmp_path).out
    monkeypatch.setenv("BENCHDOG_CACHE", str(tmp_path / "another"))
    said = run("predict", "mine", picture, cwd=tmp_path, code=3)
    assert "benchdog --plugin own.py COMMAND" in said.err


def test_a_model_of_a_file_is_listed_without_its_folder(local):
    run("train", "digits", "--model", "my_nets.py:Net", "--name", "ref", "--epochs", 1, cwd=local)
    assert facts.read(local / "runs" / "ref").learner == "my_nets.py:Net"
    listed = run("runs", "list", cwd=local).out
    assert "my_nets.py:Net" in listed
    assert str(local) not in listed


def test_a_loss_that_depends_on_nothing_is_told(tmp_path):
    class Detached(Live):
        def forward(self, x):
            return super().forward(x).detach()

    with pytest.raises(benchdog.errors.BadUsage, match="doesn't depend on any parameter"):
        benchdog.train("digits", model=Detached, epochs=1, name="stuck", runs_dir=tmp_path, quiet=True)
    with pytest.raises(benchdog.errors.BadUsage, match="Run 'stuck' has no artifact yet"):
        benchdog.load("stuck", runs_dir=tmp_path)


@pytest.mark.parametrize(("loss", "said"), [
    ("loss", "float32 tensor of shape (8,)"), ("loss.sum().view(1)", "shape (1,)"), ("(loss + 0j).sum()", "complex"),
])  # fmt: skip
def test_a_loss_that_is_not_one_number_is_told(tmp_path, loss, said):
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
    assert said in result.err
    assert ".sum()" in result.err
