"""meta.yaml builds; its packages solve, link, run, are added and removed: tests/support/conda/story.py.

`make conda` shows the log. Made with rattler-build and a channel of wheels: no conda server is asked.
"""

import json
import platform
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
OUTPUTS = [o["name"] for o in yaml.safe_load((ROOT / "meta.yaml").read_text(encoding="utf-8"))["outputs"]]
PROJECTS = [
    tomllib.loads(file.read_text(encoding="utf-8"))["project"]
    for file in (ROOT / "pyproject.toml", *ROOT.glob("plugins/*/pyproject.toml"))
]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        sys.platform != "linux" or platform.machine() != "x86_64", reason="the channel is made for linux-64"
    ),
]


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    """Let it happen; give the facts by the name of the step."""
    work = tmp_path_factory.mktemp("conda")
    argv = [sys.executable, ROOT / "tests" / "support" / "conda" / "story.py", work]
    telling = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8")
    with telling:
        for line in telling.stdout:
            print(line, end="", flush=True)
    assert telling.returncode == 0
    return json.loads((work / "story.json").read_text(encoding="utf-8"))


def names(step):
    return {name for name, *_ in step["packages"]}


def lines(step):
    assert step["code"] == 0, step["err"]
    return step["out"].splitlines()


def test_every_output_is_built(story):
    built = {file.rsplit("-", 2)[0] for file in story["built"]["outputs"]}
    assert built == set(OUTPUTS)


def test_the_core_brings_no_plugin(story):
    assert {name for name in names(story["core"]) if name.startswith("benchdog")} == {"benchdog"}
    assert "pytorch" in names(story["core"])
    assert not {"onnx", "scikit-learn", "tokenizers"} & names(story["core"])


def test_it_runs_where_it_was_installed(story):
    assert any("train" in line for line in lines(story["help"]))
    assert story["doctor"]["code"] == 0, story["doctor"]["err"]
    told = json.loads(story["doctor_json"]["out"])
    (torch,) = (check for check in told["checks"] if check["name"] == "torch")
    assert "/env/lib/python3" in torch["found"]
    assert told["wrong"] == 0


def test_it_trains_and_answers(story):
    assert story["train"]["code"] == 0, story["train"]["err"]
    assert len(lines(story["predict"])) == 2


def test_onnx_comes_with_its_package(story):
    assert story["refused"]["code"] == 3
    assert "conda install benchdog-onnx" in story["refused"]["err"]
    assert "benchdog-onnx" in names(story["with_onnx"])
    assert not story["with_onnx"]["unlinked"]
    assert story["export"]["code"] == 0, story["export"]["err"]
    label = lines(story["predict"])[1].split()[1]
    assert lines(story["predict_onnx"])[1].split()[1] == label


def test_a_plugin_is_found_once_added_and_gone_once_removed(story):
    assert any(line.startswith("scikit-learn ") for line in lines(story["listed"]))
    assert story["used"]["code"] == 0, story["used"]["err"]
    assert any(name.startswith("benchdog-sklearn-") for name in story["removed"]["unlinked"])
    assert not story["removed"]["linked"]
    assert story["left"] == []
    assert not any(line.startswith("scikit-learn ") for line in lines(story["listed_again"]))
    assert story["gone"]["code"] == 3
    assert "conda install benchdog-sklearn" in story["gone"]["err"]


def test_all_of_it_together_is_healthy(story):
    assert set(OUTPUTS) <= names(story["full"])
    assert story["check"]["code"] == 0, story["check"]["out"]
    rows = json.loads(story["all_json"]["out"])["plugins"]
    assert {row["state"] for row in rows} == {"ok"}
    assert "benchdog" in {row["distribution"] for row in rows}


def test_the_entry_points_are_those_of_pyproject(story):
    wanted = {
        (project["name"], group, name, target)
        for project in PROJECTS
        for group, points in {
            **project.get("entry-points", {}),
            "console_scripts": project.get("scripts", {}),
        }.items()
        for name, target in points.items()
    }
    found = {tuple(each) for each in json.loads(story["entry_points"]["out"])}
    assert found == wanted
