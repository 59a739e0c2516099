"""Pages for plugin authors: their code runs, and they name every member of what they describe."""

import contextlib
import inspect
import re
import runpy
import shlex
from pathlib import Path
from types import FunctionType

import pytest

from benchdog import api
from support.docs import sample_files
from support.docs.pages import ROOT, blocks
from support.export_jobs import exports_in_process
from support.in_process import run

PAGES = ROOT / "docs" / "guides" / "plugins"
RUN = ["session", "kinds", "options", "artifact", "pretrained", "memory-format"]
MEMBERS = {
    "session": ("Session", "Batch", "Device"),
    "kinds": ("Spec", "Field", "Target", "Column"),
    "artifact": ("ArtifactView",),
    "pretrained": ("Pretrained", "PretrainedDefaults"),
    "options": ("Bounds",),
}
"""What a page describes in full."""


def members(name: str) -> set[str]:
    """Return the public attributes, properties and methods of a class of the API."""
    cls = getattr(api, name)
    found = {key for base in cls.__mro__[:-1] for key in getattr(base, "__annotations__", {})}
    found |= {key for key, value in vars(cls).items() if isinstance(value, FunctionType | property | classmethod)}
    return {key for key in found if not key.startswith("_")}


@pytest.mark.parametrize(("page", "name"), [(page, name) for page, names in MEMBERS.items() for name in names])
def test_page_names_every_member(page: str, name: str) -> None:
    text = (PAGES / f"{page}.md").read_text(encoding="utf-8")
    missing = [member for member in members(name) if not re.search(rf"\b{member}\b", text)]
    assert missing == [], f"docs/guides/plugins/{page}.md says nothing of {name}'s"


@pytest.mark.slow
@pytest.mark.parametrize("page", RUN)
def test_code_of_page_runs(page: str, tmp_path: Path) -> None:
    ran = 0
    for block in blocks(PAGES / f"{page}.md"):
        for name in " ".join(block.marks.get("given", [])).split():
            sample_files.make(name, tmp_path)
        if block.file:
            (tmp_path / block.file).write_text(block.text + "\n", encoding="utf-8")
        elif block.language == "sh":
            said = "".join(typed(line, tmp_path) for line in block.typed.splitlines())
            shown = block.output.text.splitlines() if block.output else []
            assert [line for line in shown if line != "..." and line not in said] == []
            ran += 1
    assert ran


def typed(line: str, place: Path) -> str:
    """Do what a reader types, in this process; return what is printed."""
    command, *words = shlex.split(line, comments=True)
    if command == "python":
        with contextlib.chdir(place):
            runpy.run_path(words[0])
        return ""
    assert command == "benchdog"
    with exports_in_process():
        done = run(*words, cwd=place)
    return done.out + done.err


def test_every_public_name_stands_on_the_reference_page() -> None:
    text = (ROOT / "docs" / "reference" / "api.md").read_text(encoding="utf-8")
    headings = set(re.findall(r"^### (\w+)$", text, re.MULTILINE))
    assert set(api.__all__) - headings == set(), "python scripts/api_reference.py"


def test_every_public_class_and_function_has_a_docstring() -> None:
    named = [getattr(api, name) for name in api.__all__]
    named = [each for each in named if inspect.isclass(each) or inspect.isfunction(each)]
    assert [each.__name__ for each in named if not inspect.getdoc(each)] == []
