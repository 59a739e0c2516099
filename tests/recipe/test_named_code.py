"""Code that recipes, command lines and runs name: what only looks imports none of it; what is imported is checked."""

import json
import os
import subprocess
import sys

import pytest

from benchdog.errors import BadUsage
from benchdog.plugins import Plugins
from benchdog.runs.compare_data import names_of
from support.in_process import run

EVIL = """
from pathlib import Path
import torch
Path("ran").touch()
class Net(torch.nn.Module):
    pass
class Source:
    pass
def build(spec):
    Path("called").touch()
"""
NAMED = {
    "plugin file": "plugins = ['./evil.py']\nsource = 'digits'",
    "source file": "source = './evil.py:Source'",
    "source": "source = 'evil:Source'",
    "model": "source = 'digits'\nmodel = 'evil:Net'",
    "model file": "source = 'digits'\nmodel = './evil.py:Net'",
    "task": "source = 'digits'\ntask = 'evil:Net'",
    "trainer": "source = 'digits'\ntrainer = 'evil:Net'",
    "backend": "source = 'digits'\nbackend = 'evil:Net'",
    "augmentation": "source = 'digits'\nloader = { augment = ['evil:Net'] }",
    "augmentation with options": "source = 'digits'\nloader = { augment = ['flip', { name = 'evil.py:Net' }] }",
    "criterion": "source = 'digits'\ntask = { name = 'classification', criterion = 'evil:Net' }",
    "optimizer": "source = 'digits'\ntrainer = { name = 'supervised', optimizer = 'evil:Net' }",
    "old name of optimizer": "source = 'digits'\ntrainer = { name = 'supervised', optimiser = 'evil:Net' }",
    "schedule": "source = 'digits'\ntrainer = { name = 'supervised', schedule = 'evil:Net' }",
    "inside a list": "source = 'digits'\nmodel = { name = 'cnn', width = ['evil:Net'] }",
    "inside a table": "source = 'digits'\ntrainer = { name = 'supervised', optimizer_options = { a = 'evil:Net' } }",
    "a program": "source = 'digits'\nmodel = { name = 'subprocess:run', args = ['touch', 'ran'] }",
}
OF_SOURCE = ("plugin file", "source file", "source")


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Return a folder with evil.py, which leaves a file when it is imported; it can be imported by name, too."""
    (tmp_path / "evil.py").write_text(EVIL, encoding="utf-8")
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    yield tmp_path
    sys.modules.pop("evil", None)


@pytest.mark.parametrize(
    ("command", "named"),
    [
        *(("plan", name) for name in NAMED),
        *((command, name) for command in ("data info", "data fetch", "data verify") for name in OF_SOURCE),
    ],
)
def test_commands_that_look_run_no_code_of_a_recipe(place, command, named):
    (place / "r.toml").write_text(NAMED[named], encoding="utf-8")
    refused = run(*command.split(), "r.toml", cwd=place, code=2)
    assert "runs code" in refused.err
    assert "--run-code" in refused.err
    assert not (place / "ran").exists()


@pytest.mark.parametrize(
    "words",
    [
        ("plan", "digits", "--model", "evil:Net"),
        ("plan", "digits", "--model", "./evil.py:Net"),
        ("plan", "./evil.py:Source"),
        ("plan", "digits", "--set", "task.criterion=evil:Net"),
        ("plan", "digits", "--set", "plugins=['./evil.py']"),
        ("data", "info", "./evil.py:Source"),
        ("data", "verify", "evil:Source"),
        ("new", "./evil.py:Source"),
        ("new", "digits", "--model", "evil:Net"),
    ],
    ids=" ".join,
)
def test_commands_that_look_run_no_code_of_the_command_line(place, words):
    assert "--run-code" in run(*words, cwd=place, code=2).err
    assert not (place / "ran").exists()


def test_code_runs_when_it_is_asked_for(place):
    (place / "r.toml").write_text(NAMED["plugin file"], encoding="utf-8")
    run("data", "info", "r.toml", "--run-code", cwd=place)
    assert (place / "ran").exists()
    (place / "ran").unlink()
    (place / "evil.py").write_text(EVIL + "# changed\n", encoding="utf-8")
    run("--plugin", "evil.py", "data", "info", "r.toml", cwd=place)
    assert (place / "ran").exists()


def test_data_info_reads_a_recipe_whose_model_is_code_without_importing_it(place):
    (place / "r.toml").write_text(NAMED["model"], encoding="utf-8")
    assert "source  digits" in run("data", "info", "r.toml", cwd=place).out
    assert not (place / "ran").exists()


def test_component_of_a_plugin_may_be_named_with_its_owner(tmp_path):
    (tmp_path / "r.toml").write_text("source = 'benchdog:digits'\nmodel = 'benchdog:linear'\n", encoding="utf-8")
    recipe = run("plan", "r.toml", "--json", cwd=tmp_path).json["recipe"]
    assert (recipe["source"]["name"], recipe["model"]["name"]) == ("benchdog:digits", "benchdog:linear")


@pytest.mark.parametrize("kind", ["source", "model", "task", "trainer", "backend", "augmentation", "exporter"])
@pytest.mark.parametrize("name", ["subprocess:run", "os:system", "builtins:eval", "evil:Path", "torch:os.system"])
def test_functions_of_python_itself_are_no_components(place, monkeypatch, kind, name):
    monkeypatch.chdir(place)
    with pytest.raises(BadUsage, match="can't be used"):
        Plugins.discover().find(kind, name)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--model", "evil:Source"), "is not a torch.nn.Module"),
        (("--set", "task=evil:Source"), "Source has no check()"),
        (("--set", "trainer=evil:Source"), "Source has no train()"),
        (("--set", "task.criterion=evil:Source"), "is no criterion"),
        (("--set", "trainer.optimizer=subprocess:run"), "Python's standard library"),
        (("--set", "task.criterion=my-evil:Net"), "its form is wrong"),
    ],
)
def test_class_of_another_kind_is_not_called(place, words, message):
    assert message in run("plan", "digits", "--run-code", *words, cwd=place, code=2).err


def test_function_that_makes_another_kind_is_refused_by_its_result(place):
    refused = run("data", "info", "evil:build", "--set", "spec=1", "--run-code", cwd=place, code=2)
    assert "NoneType has no spec()" in refused.err
    assert "returns a NoneType" in run("plan", "digits", "--model", "evil:build", "--run-code", cwd=place, code=2).err


def test_modules_of_the_working_folder_are_not_imported_unasked(tmp_path):
    """Only in a process of its own does `python -m` put the working folder first."""
    for name in ("torch", "numpy", "typer", "evil"):
        (tmp_path / f"{name}.py").write_text("open('ran', 'w').close()\n1 / 0\n", encoding="utf-8")
    metadata = tmp_path / "evil-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Name: evil\nVersion: 1\n", encoding="utf-8")
    (metadata / "entry_points.txt").write_text("[benchdog]\nevil = evil\n", encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    command = [sys.executable, "-m", "benchdog", "data", "info", "digits"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "ran").exists()


def test_runs_why_runs_no_code_of_a_foreign_run(place):
    folder = place / "runs" / "other"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(
        json.dumps({"format": 1, "name": "other", "status": "running", "created": "", "source": "", "model": ""}),
        encoding="utf-8",
    )
    recipe = run("plan", "digits", "--model", "linear", "--json", cwd=place).json["recipe"]
    recipe["source"] = {"name": f"{place / 'evil.py'}:Source"}
    text = "\n".join(f"{key} = {json.dumps(value)}" for key, value in recipe.items() if not isinstance(value, dict))
    tables = [
        f"[{key}]\n" + "\n".join(f"{name} = {_toml(item)}" for name, item in value.items() if item is not None)
        for key, value in recipe.items()
        if isinstance(value, dict)
    ]
    (folder / "recipe.toml").write_text("\n".join([text, *tables]), encoding="utf-8")
    assert names_of(folder, "train")(3) == "at position 3"
    assert not (place / "ran").exists()


def _toml(value):
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {_toml(item)}" for key, item in value.items()) + "}"
    return json.dumps(value)
