"""`benchdog.testing.conforms` for plugin authors, and the output of `plugins check`."""

import subprocess
import sys

import pytest

from support.in_process import run

PLUGIN = """
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from benchdog.api import Column, Doc, Field, Raw, SourceInfo, Spec, Target, hookimpl

CONTRACT = 1


@dataclass(frozen=True, kw_only=True)
class Options:
    table: Annotated[Path, Doc("A file with a number in each line.")]


@hookimpl
def benchdog_sources():
    return [SourceInfo(name="numbers", summary="A file of numbers.", target=":Numbers", options=":Options")]


class Numbers:
    def __init__(self, options):
        self.path = options.table

    def spec(self):
        field = Field(kind="table", shape=(1,), dtype="float32", columns=(Column(name="value"),))
        return Spec(fields=(field,), target=Target(kind="class", classes=("odd", "even")))

    def open(self):
        samples = []
        for i, line in enumerate(self.path.read_text(encoding="utf-8").split()):
            samples.append(Raw(id=str(i), fields={"input": {"value": float(line)}}, target=i % 2))
        return samples
"""
TESTS = """
from benchdog.testing import conforms

test_numbers = conforms("source", "numbers", file="numbers_plugin.py", options={"table": "numbers.txt"})
"""


@pytest.fixture
def project(tmp_path):
    (tmp_path / "numbers_plugin.py").write_text(PLUGIN, encoding="utf-8")
    (tmp_path / "test_numbers.py").write_text(TESTS, encoding="utf-8")
    (tmp_path / "numbers.txt").write_text("\n".join(str(i / 7) for i in range(200)), encoding="utf-8")
    return tmp_path


@pytest.mark.slow
def test_conforms_generates_tests_for_a_component(project):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    done = subprocess.run([*command, "test_numbers.py"], cwd=project, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1, done.stdout + done.stderr
    assert (
        "source numbers, mistakes: table = a path that isn't there: Opening it raises FileNotFoundError"
        in done.stdout
    )
    assert "Raise BadData or BadUsage of benchdog.api" in done.stdout
    assert "numbers_plugin.py, line" in done.stdout
    assert "1 failed" in done.stdout
    assert "test_numbers[repeats]" not in done.stdout  # all other checks pass


def test_component_options_by_set(project):
    file = project / "numbers_plugin.py"
    stdout = run("plugins", "check", file, "--set", "numbers.table=numbers.txt", "--only", "opens", cwd=project).out
    assert "ok       opens        train" in stdout


@pytest.mark.slow
def test_hanging_check_is_reported_and_others_run(project):
    file = project / "numbers_plugin.py"
    text = PLUGIN.replace(
        "        samples = []\n", "        import time\n\n        time.sleep(1000)\n        samples = []\n"
    )
    file.write_text(text, encoding="utf-8")
    arguments = ("--set", "numbers.table=numbers.txt", "--limit", 20, "--only", "opens", "--only", "files")
    found = run("plugins", "check", file, *arguments, "--json", cwd=project, code=4).json["results"]
    assert [(r["check"], r["state"]) for r in found] == [("opens", "fault"), ("files", "ok")]
    assert found[0]["found"] == "It isn't done after 20 s."


def test_check_prints_a_line_per_check_and_a_verdict(tmp_path):
    stdout = run("plugins", "check", "benchdog-serve", cwd=tmp_path).out
    assert "command serve" in stdout
    assert "  ok       loads" in stdout
    assert stdout.rstrip().endswith("5 passed, 0 failed, 0 skipped.")


def test_importing_testing_does_not_import_pytest():
    code = "import sys, benchdog.testing; assert not {'pytest', 'torch', 'numpy', 'pydantic'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
