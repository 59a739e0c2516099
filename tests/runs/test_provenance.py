"""Provenance: code of foreign runs requires --trust; changed data and recipes are detected."""

import json
import shutil

import pytest

from benchdog.errors import BadData
from benchdog.runs import provenance
from benchdog.training import session
from support.in_process import run

pytestmark = pytest.mark.usefixtures("weights_alone")

NET = """
from pathlib import Path

from torch import nn

(Path(__file__).parent / "ran").write_text("")


class Net(nn.Module):
    def __init__(self, spec):
        super().__init__()
        self.last = nn.Linear(spec.fields[0].shape[0], spec.outputs)

    def forward(self, x):
        return self.last(x)
"""
SETTINGS = ["--target", "kind", "--epochs", 2, "--batch-size", 16, "--quiet", "--set", "loop.checkpoint_steps=2"]


def table(folder, rows=120, columns=("a", "b"), kinds=("x", "y")):
    lines = [",".join((*columns, "kind"))]
    lines += [
        ",".join([str((i * 7 + k) % 50) for k in range(len(columns))] + [kinds[i % len(kinds)]]) for i in range(rows)
    ]
    (folder / "data.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return a folder with data, a finished run with a local model file, one without, and stopped runs of both."""
    folder = tmp_path_factory.mktemp("origin")
    table(folder)
    (folder / "net.py").write_text(NET, encoding="utf-8")
    run("train", "data.csv", "--model", "net.py:Net", *SETTINGS, "--name", "own", cwd=folder)
    run("train", "data.csv", "--model", "linear", *SETTINGS, "--name", "plain", cwd=folder)
    with pytest.MonkeyPatch.context() as patch:
        done = session.Session.step_done

        def stopping(self, loss, weight):
            if self.step == 2:
                self.signals.notice(15, None)
            done(self, loss, weight)

        patch.setattr(session.Session, "step_done", stopping)
        run("train", "data.csv", "--model", "net.py:Net", *SETTINGS, "--name", "half-own", cwd=folder, code=143)
        run("train", "data.csv", "--model", "linear", *SETTINGS, "--name", "half", cwd=folder, code=143)
    return folder


@pytest.fixture
def place(made, tmp_path):
    """Return a copy of its runs; data.csv stays where the recipes look for it."""
    shutil.copytree(made / "runs", tmp_path / "runs")
    for path in tmp_path.rglob("ran"):
        path.unlink()
    yield tmp_path
    table(made)


def edit(path, old, new):
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def unmark(folder):
    facts = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    assert facts.pop("machine")
    (folder / "run.json").write_text(json.dumps(facts), encoding="utf-8")


@pytest.mark.parametrize("command", [("evaluate", "own"), ("train", "--quiet", "--resume", "half-own")])
@pytest.mark.parametrize("how", ["no mark", "changed file", "another class"])
def test_code_of_a_foreign_run_is_not_executed_without_trust(place, command, how):
    folder = place / "runs" / command[-1]
    if how == "no mark":
        unmark(folder)
    elif how == "changed file":
        edit(folder / "local" / "net.py", "import nn\n", "import nn  # changed\n")
    else:
        edit(folder / "recipe.toml", "net.py:Net", "net.py:Path")
    refused = run(*command, cwd=place, code=4)
    assert "net.py" in refused.err
    assert "--trust" in refused.err
    assert not list(place.rglob("ran"))
    if how == "no mark":
        run(*command, "--trust", cwd=place)
        assert list(place.rglob("ran")) or command[0] == "evaluate"  # the graph predicts without the class


def test_class_of_an_installed_module_requires_trust(place):
    edit(place / "runs" / "half" / "recipe.toml", 'name = "linear"', 'name = "os:system"')
    assert "'os:system' is code" in run("train", "--quiet", "--resume", "half", cwd=place, code=4).err


def test_local_runs_and_runs_without_code_resume_without_trust(place):
    assert "machine" in (place / "runs" / "own" / "run.json").read_text(encoding="utf-8")
    assert json.loads((place / "runs" / "plain" / "run.json").read_text(encoding="utf-8"))["machine"] is None
    for name in ("half", "half-own"):
        run("train", "--quiet", "--resume", name, cwd=place)
        assert "note" not in run("evaluate", name, cwd=place).err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"columns": ("a", "c")}, "columns was a, b, is a, c"),
        ({"kinds": ("x", "y", "z")}, "target.classes was x, y, is x, y, z"),
        ({"columns": ("a", "b", "c")}, "shape was 2, is 3"),
    ],
)
def test_changed_data_spec_is_refused(made, place, change, message):
    table(made, **change)
    for command in (("evaluate", "plain"), ("train", "--quiet", "--resume", "half")):
        stderr = run(*command, cwd=place, code=5).err
        assert "The data isn't what this run was trained on" in stderr
        assert message in stderr


def test_added_rows_are_noted_by_evaluate_and_refused_by_resume(made, place):
    table(made, rows=150)
    assert "note: the data has changed since the training" in run("evaluate", "plain", cwd=place).err
    assert "sizes.train was" in run("train", "--quiet", "--resume", "half", cwd=place, code=5).err


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("seed = 0\nplugins", "seed = 1\nplugins", "seed"),
        ("batch_size = 16", "batch_size = 8", "loop.batch_size"),
        ("lr = 0.001", "lr = 0.01", "trainer.lr"),
        ("drop = []", 'drop = ["b"]', "source.drop"),
        ('name = "linear"', 'name = "mlp"', "model.name"),
    ],
)
def test_resume_refuses_a_changed_recipe(place, old, new, key):
    recipe = place / "runs" / "half" / "recipe.toml"
    edit(recipe, old, new)
    stderr = run("train", "--quiet", "--resume", "half", cwd=place, code=2).err
    assert f"since the checkpoint: {key}." in stderr
    assert "benchdog train" in stderr


def test_resume_accepts_more_epochs(place):
    edit(place / "runs" / "half" / "recipe.toml", "epochs = 2", "epochs = 3")
    run("train", "--quiet", "--resume", "half", cwd=place)
    assert json.loads((place / "runs" / "half" / "run.json").read_text(encoding="utf-8"))["epochs_done"] == 3


def test_many_differences_are_summarized():
    was = {"preprocess": {}, "spec": {"classes": [str(i) for i in range(100)], "a": 1, "b": 1, "c": 1}}
    now = {"preprocess": {}, "spec": {"classes": [str(i) for i in range(99)], "a": 2, "b": 2, "c": 2}}
    with pytest.raises(BadData) as caught:
        provenance.same_data(was, now, sizes=False)
    assert caught.value.message.endswith("classes without 99; a was 1, is 2; b was 1, is 2 and 1 more.")
