"""Pages for plugin authors: their code runs, and they name every member of what they describe."""

import re
import shlex
from pathlib import Path
from types import FunctionType

import pytest

from benchdog import api
from support.docs.pages import ROOT, blocks
from support.export_jobs import exports_in_process
from support.in_process import run

PAGES = ROOT / "docs" / "guides" / "plugins"
RUN = ["session", "kinds"]
MEMBERS = {"session": ("Session", "Batch", "Device"), "kinds": ("Spec", "Field", "Target", "Column")}
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


@pytest.mark.parametrize("page", RUN)
def test_code_of_page_runs(page: str, tmp_path: Path) -> None:
    ran = 0
    for block in blocks(PAGES / f"{page}.md"):
        if block.file:
            (tmp_path / block.file).write_text(block.text + "\n", encoding="utf-8")
        elif block.language == "sh":
            code = int(block.marks.get("ends with", ["0"])[0])
            for line in block.typed.splitlines():
                command, *words = shlex.split(line, comments=True)
                assert command == "benchdog"
                with exports_in_process():
                    run(*words, cwd=tmp_path, code=code)
                ran += 1
    assert ran
