"""`benchdog.testing` as the author of a plugin meets it: one import, one line a component; and what `check` says."""

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


def test_an_author_writes_a_line_for_each_component(project):
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
    assert "test_numbers[repeats]" not in done.stdout  # it passes, and so does all else


def test_options_are_given_by_set(project):
    file = project / "numbers_plugin.py"
    given = run("plugins", "check", file, "--set", "numbers.table=numbers.txt", "--only", "opens", cwd=project).out
    assert "ok       opens        train" in given


@pytest.mark.slow
def test_a_check_that_hangs_is_named_and_the_others_go_on(project):
    file = project / "numbers_plugin.py"
    text = PLUGIN.replace(
        "        samples = []\n", "        import time\n\n        time.sleep(1000)\n        samples = []\n"
    )
    file.write_text(text, encoding="utf-8")
    asked = ("--set", "numbers.table=numbers.txt", "--limit", 20, "--only", "opens", "--only", "files")
    found = run("plugins", "check", file, *asked, "--json", cwd=project, code=4).json["results"]
    assert [(r["check"], r["state"]) for r in found] == [("opens", "fault"), ("files", "ok")]
    assert found[0]["found"] == "It isn't done after 20 s."


def test_the_text_has_a_line_for_each_check_and_a_verdict(tmp_path):
    told = run("plugins", "check", "benchdog-serve", cwd=tmp_path).out
    assert "command serve" in told
    assert "  ok       loads" in told
    assert told.rstrip().endswith("No faults in 5 checks.")


def test_pytest_is_imported_by_conforms_alone():
    code = "import sys, benchdog.testing; assert not {'pytest', 'torch', 'numpy', 'pydantic'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
