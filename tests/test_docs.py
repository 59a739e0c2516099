"""The pages of the documentation: blocks that can be read, links that lead somewhere, tables that are true."""

import re
import tomllib
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PAGES = sorted(DOCS.rglob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(DOCS).as_posix())
def test_every_block_can_be_read(page):
    for language, text in BLOCK.findall(page.read_text(encoding="utf-8")):
        if language == "python":
            assert compile(text, page.name, "exec")
        elif language == "toml":
            assert tomllib.loads(text)
        else:
            assert language in ("text", "sh", "json")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(DOCS).as_posix())
def test_links_lead_somewhere(page):
    for target in re.findall(r"]\(([^)#]+)", page.read_text(encoding="utf-8")):
        assert target.startswith("http") or (page.parent / target).exists(), target


def test_the_recipe_page_lists_every_key_of_the_hosts_tables():
    import dataclasses

    from benchdog.options import describe
    from benchdog.recipe import TABLES

    page = (DOCS / "recipe.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+\.\w+)` \| (.*) \| (.*) \|$", page, re.MULTILINE)
    listed = {key: (doc, default) for key, doc, default in rows}
    known = {
        f"{name}.{option.name}": (option.doc, str(option.default))
        for name, table in TABLES.items()
        if dataclasses.is_dataclass(table)
        for option in describe(table).values()
    }
    assert listed == known
