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
TESTS = {o["name"]: o["test"] for o in yaml.safe_load((ROOT / "meta.yaml").read_text(encoding="utf-8"))["outputs"]}
OUTPUTS = list(TESTS)
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
    """Run the scenario and return its results by step."""
    work = tmp_path_factory.mktemp("conda")
    argv: list[str | Path] = [sys.executable, ROOT / "tests" / "support" / "conda" / "story.py", work]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8")
    with process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
    assert process.returncode == 0
    return json.loads((work / "story.json").read_text(encoding="utf-8"))


def names(step):
    return {name for name, *_ in step["packages"]}


def lines(step):
    assert step["code"] == 0, step["err"]
    return step["out"].splitlines()


def test_conda_builds_every_output(story):
    built = {file.rsplit("-", 2)[0] for file in story["built"]["outputs"]}
    assert built == set(OUTPUTS)


@pytest.mark.parametrize("output", OUTPUTS)
def test_conda_output_passes_its_tests_with_its_dependencies_alone(story, output):
    installed = {name for name in names(story[f"test {output}"]) if name.startswith("benchdog")}
    assert installed == (set(OUTPUTS) if output == "benchdog-full" else {"benchdog", output})
    ran = [step for name, step in story.items() if name.startswith(f"test {output} ")]
    assert len(ran) == len(TESTS[output]["commands"]) + len(TESTS[output].get("imports", []))
    assert [step["out"] + step["err"] for step in ran if step["code"]] == []


def test_conda_core_package_installs_no_plugin(story):
    assert {name for name in names(story["core"]) if name.startswith("benchdog")} == {"benchdog"}
    assert "pytorch" in names(story["core"])
    assert not {"onnx", "scikit-learn", "tokenizers"} & names(story["core"])


def test_conda_installation_passes_doctor(story):
    assert any("train" in line for line in lines(story["help"]))
    assert story["doctor"]["code"] == 0, story["doctor"]["err"]
    report = json.loads(story["doctor_json"]["out"])
    (torch,) = (check for check in report["checks"] if check["name"] == "torch")
    assert "/env/lib/python3" in torch["found"]
    wrong = {check["name"] for check in report["checks"] if check["state"] == "wrong"}
    assert wrong <= {"model timm"}, "torchvision, which timm imports, may be of another build than torch"


def test_conda_installation_trains_and_predicts(story):
    assert story["train"]["code"] == 0, story["train"]["err"]
    assert len(lines(story["predict"])) == 2


def test_onnx_export_needs_its_package(story):
    assert story["refused"]["code"] == 3
    assert "conda install benchdog-onnx" in story["refused"]["err"]
    assert "benchdog-onnx" in names(story["with_onnx"])
    assert not story["with_onnx"]["unlinked"]
    assert story["export"]["code"] == 0, story["export"]["err"]
    label = lines(story["predict"])[1].split()[1]
    assert lines(story["predict_onnx"])[1].split()[1] == label


def test_plugin_is_available_after_install_and_gone_after_removal(story):
    assert any(line.startswith("scikit-learn ") for line in lines(story["listed"]))
    assert story["used"]["code"] == 0, story["used"]["err"]
    assert any(name.startswith("benchdog-sklearn-") for name in story["removed"]["unlinked"])
    assert not story["removed"]["linked"]
    assert story["left"] == []
    assert not any(line.startswith("scikit-learn ") for line in lines(story["listed_again"]))
    assert story["gone"]["code"] == 3
    assert "conda install benchdog-sklearn" in story["gone"]["err"]


def test_full_installation_passes_all_checks(story):
    assert set(OUTPUTS) <= names(story["full"])
    assert story["check"]["code"] == 0, story["check"]["out"]
    rows = json.loads(story["all_json"]["out"])["plugins"]
    assert {row["state"] for row in rows} == {"ok"}
    assert "benchdog" in {row["distribution"] for row in rows}


def test_installed_entry_points_match_pyproject(story):
    expected = {
        (project["name"], group, name, target)
        for project in PROJECTS
        for group, points in {
            **project.get("entry-points", {}),
            "console_scripts": project.get("scripts", {}),
        }.items()
        for name, target in points.items()
    }
    found = {tuple(each) for each in json.loads(story["entry_points"]["out"])}
    assert found == expected
