"""`benchdog doctor`: checks and exit code."""

import functools
import sys

import pytest

from benchdog.system import machine
from support.in_process import run
from support.plugin_files import install, offer


@pytest.fixture(scope="module", autouse=True)
def _one_import_of_torch():
    """Inspect this machine's torch only once: it is imported in a separate process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(machine, "interpreter", functools.cache(machine.interpreter))
        yield


WITHOUT_TIMM = {"BENCHDOG_PLUGINS": "-tensorboard,-mlflow,-timm"}
"""torchvision, which timm imports, is often of another build than torch, as doctor says."""
FEW = {"BENCHDOG_PLUGINS": "builtin,mine"}
"""Without the packages that other plugins need, whose imports doctor tries: they take seconds."""


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    return run("doctor", "--json", cwd=tmp_path_factory.mktemp("doctor"), env=WITHOUT_TIMM).json


def test_doctor_checks_everything(report):
    names = [check["name"] for check in report["checks"]]
    for name in (
        "Python",
        "torch",
        "accelerator",
        "memory",
        "cache",
        "runs folder",
        "plugin contract",
        "plugin builtin",
    ):
        assert name in names, name
    assert "package numpy" in names
    assert any(name.startswith(("Jupyter", "kernel")) for name in names)
    assert report["wrong"] == 0
    assert report["ok"] + report["warning"] == len(names)


def test_failed_checks_have_a_remedy(report):
    assert all(check["remedy"] for check in report["checks"] if check["state"] != "ok")
    python = next(check for check in report["checks"] if check["name"] == "Python")
    assert sys.version.split()[0] in python["found"]


def test_doctor_prints_one_line_per_check(bench):
    result = bench("doctor", env=FEW)
    assert any(line.startswith("ok") and "torch" in line for line in result.out.splitlines())
    assert "No problems found" in result.err


def test_broken_torch_is_reported_with_exit_code_1(process, tmp_path):
    (tmp_path / "torch.py").write_text("import os\nos._exit(132)\n", encoding="utf-8")
    result = process("doctor", "--json", code=1, env={**FEW, "PYTHONPATH": str(tmp_path)})
    (check,) = (check for check in result.json["checks"] if check["name"] == "torch")
    assert check["state"] == "wrong"
    assert "force-reinstall" in check["remedy"]
    assert "Traceback" not in result.err


def test_unwritable_cache_is_reported(bench, tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    result = bench("doctor", "--json", code=1, env={**FEW, "BENCHDOG_CACHE": str(tmp_path / "file" / "cache")})
    (check,) = (check for check in result.json["checks"] if check["name"] == "cache")
    assert check["state"] == "wrong"
    assert "BENCHDOG_CACHE" in check["remedy"]


def test_broken_plugin_fails_and_other_checks_still_run(bench, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("1 / 0\n", encoding="utf-8")
    result = bench("--plugin", str(path), "doctor", "--json", code=1, env=FEW)
    (check,) = (check for check in result.json["checks"] if check["name"] == "plugin mine")
    assert "ZeroDivisionError" in check["found"]
    assert check["remedy"]
    assert any(check["name"] == "torch" for check in result.json["checks"])


def test_missing_package_is_reported_as_a_failed_check(process, tmp_path):
    (tmp_path / "pluggy.py").write_text("raise ImportError('no pluggy')\n", encoding="utf-8")
    result = process("doctor", "--json", code=1, env={**FEW, "PYTHONPATH": str(tmp_path)})
    states = {check["name"]: check["state"] for check in result.json["checks"]}
    assert states["plugins"] == "wrong"
    assert states["torch"] == "ok"
    assert "cache" in states


def test_packages_that_cannot_be_imported_are_one_finding(bench, tmp_path, monkeypatch):
    """As timm with a torchvision for another torch: both are found, and one import raises for the other."""
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "bent_package.py").write_text(
        "raise RuntimeError('operator x::nms does not exist')", encoding="utf-8"
    )
    (tmp_path / "on_top.py").write_text("import bent_package", encoding="utf-8")
    code = offer("bent", more=", requires=('on_top', 'bent_package', 'json'), install='pip install bent'")
    install(tmp_path, "bent", code)
    report = bench("doctor", "--json", code=1, env={"BENCHDOG_PLUGINS": "bent"}).json
    (check,) = (each for each in report["checks"] if each["name"] == "model bent")
    assert check["state"] == "wrong"
    assert check["found"] == (
        "needs on_top and bent_package: the import raises RuntimeError: operator x::nms does not exist"
    )
    assert check["remedy"].endswith("-m pip install --upgrade on_top bent_package")
