"""Upgrade drill: a plugin for the previous contract works, one for an unknown contract is disabled.

Both packages are real: built as wheels, installed by pip into a fresh environment, used as users do.
"""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from support import in_process
from support.command import Result
from support.thirdparty import venvs

PACKAGES = Path(__file__).parents[1] / "support" / "thirdparty"
NOTE = "written for contract 0: works through a shim until contract 2"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:written for contract 0:DeprecationWarning"),
]
QUICK = ("train", "digits", "--model", "linear", "--epochs", "2", "--trainer", "veteran")


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """Return an environment with a plugin of contract 0 and one of contract 7, and its Python."""
    place = tmp_path_factory.mktemp("upgrade")
    for name in ("veteran", "prophet"):
        shutil.copytree(PACKAGES / name, place / name)
    built = venvs.wheels(place / "wheels", place / "veteran", place / "prophet")
    assert [wheel.name.split("-")[0] for wheel in built] == ["benchdog_prophet", "benchdog_veteran"]
    python = venvs.environment(place / "venv")
    venvs.install(python, *built)
    return place / "venv", python


@pytest.fixture
def process(environment, tmp_path):
    """Run commands by the environment's Python."""

    def bench(*arguments: str) -> Result:
        command = [str(environment[1]), "-m", "benchdog", *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, encoding="utf-8", timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return Result(done.stdout, done.stderr, done.returncode)

    return bench


@pytest.fixture
def upgraded(environment, tmp_path, monkeypatch):
    """Run commands in this process, with the environment's packages."""
    monkeypatch.syspath_prepend(str(venvs.site_packages(environment[0])))

    def bench(*arguments: str, code: int = 0) -> Result:
        return in_process.run(*arguments, cwd=tmp_path, code=code)

    return bench


def test_plugins_list_shows_both_contracts(process):
    result = process("plugins", "list", "--json")
    rows = {row["name"]: row for row in result.json["plugins"]}
    veteran, prophet = rows["veteran"], rows["prophet"]
    assert (veteran["state"], veteran["contract"], veteran["note"]) == ("warning", 0, NOTE)
    assert veteran["components"] == {"trainer": ["veteran"]}
    assert "docs/reference/contract.md" in veteran["remedy"]
    assert (prophet["state"], prophet["loaded"]) == ("wrong", False)
    assert prophet["fault"] == "is written for contract 7; this Benchdog has contract 1."
    assert prophet["remedy"].startswith("Update Benchdog, or install a version of benchdog-prophet")
    assert NOTE in process("plugins", "list").out
    assert rows["builtin"]["state"] == "ok"


def test_doctor_warns_of_contract_0_and_fails_contract_7(upgraded):
    document = upgraded("doctor", "--json", code=1).json
    checks = {check["name"]: check for check in document["checks"]}
    assert checks["plugin veteran"]["state"] == "warning"
    assert NOTE in checks["plugin veteran"]["found"]
    assert checks["plugin prophet"]["state"] == "wrong"
    assert "contract 7" in checks["plugin prophet"]["found"]
    wrong = [name for name, check in checks.items() if check["state"] == "wrong"]
    assert set(wrong) - {"model timm"} == {"plugin prophet"}  # torchvision is often of another build than torch


def test_contract_0_trainer_check_gets_its_old_arguments(upgraded):
    result = upgraded(*QUICK, "--set", "trainer.rest=99", code=2)
    assert "rest is 99; the run has 40 steps, the model 1 parts and 650 weights (accuracy)." in result.err


def test_contract_0_trainer_trains_without_warnings_to_users(process):
    result = process(*QUICK, "--name", "old", "--json")
    assert result.lines[-1]["trainer"] == "veteran"
    assert result.lines[-1]["best"]["value"] > 0.5
    assert "contract 0" not in result.err
    assert result.err.count("prophet") <= 2  # one line, with what to do


def test_command_of_an_unknown_contract_is_refused(upgraded):
    assert "foretell" in upgraded("--help").out
    result = upgraded("foretell", "--json", code=3)
    assert json.loads(result.out)["error"]["message"] == (
        "The plugin 'benchdog-prophet' is written for contract 7; this Benchdog has contract 1."
    )
