"""Documentation pages: blocks that parse, links that resolve, generated parts that are current."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PAGES = sorted(DOCS.rglob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(DOCS).as_posix())
def test_code_blocks_parse(page):
    for language, text in BLOCK.findall(page.read_text(encoding="utf-8")):
        if language == "python":
            assert compile(text, page.name, "exec")
        elif language == "toml":
            assert tomllib.loads(text)
        else:
            assert language in ("text", "sh", "json")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(DOCS).as_posix())
def test_links_resolve(page):
    for target in re.findall(r"]\(([^)#]+)", page.read_text(encoding="utf-8")):
        assert target.startswith("http") or (page.parent / target).exists(), target


def test_generated_reference_is_current():
    argv = [sys.executable, str(ROOT / "scripts" / "reference.py"), "--check"]
    done = subprocess.run(argv, capture_output=True, text=True, encoding="utf-8", check=False)
    if done.returncode == 3:
        pytest.skip(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr


def test_reference_shows_the_printed_help(bench):
    page = (DOCS / "reference" / "commands.md").read_text(encoding="utf-8")
    own = ",".join(folder.name for folder in (ROOT / "plugins").iterdir())
    printed = bench("--help", env={"COLUMNS": "80", "BENCHDOG_PLUGINS": own}).out
    assert f"$ benchdog --help\n{printed.rstrip()}\n```" in page


def test_each_way_to_name_code_has_a_test():
    rows = [line for line in (DOCS / "security.md").read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    assert len(rows) > 25
    for row in rows[1:]:
        named = re.search(r"`([\w/-]+\.py)::(test_\w+)` \|$", row)
        assert named, row
        assert f"def {named[2]}(" in (ROOT / named[1]).read_text(encoding="utf-8"), named[0]


def test_navigation_names_each_page_once():
    nav = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2]
    named = re.findall(r"[\w/-]+\.md$", nav, re.MULTILINE)
    spread = (DOCS / "guides" / "plugins", DOCS / "decisions")
    folders = [page.relative_to(DOCS).as_posix() for folder in spread for page in folder.glob("*.md")]
    outside = {"changelog.md", "contributing.md"}
    assert sorted(named) == sorted(outside | {page.relative_to(DOCS).as_posix() for page in PAGES} - set(folders))


@pytest.mark.parametrize(
    "page", [ROOT / "CONTRIBUTING.md", DOCS / "explanation" / "how-a-run-flows.md"], ids=lambda p: p.name
)
def test_files_and_functions_named_on_pages_exist(page):
    named = re.findall(r"`((?:[\w.-]+/)*[\w-]+\.py)(?::(\w+))?`", page.read_text(encoding="utf-8"))
    assert named
    missing = []
    for path, name in named:
        file = next((base / path for base in (ROOT, ROOT / "src" / "benchdog") if (base / path).is_file()), None)
        if file is None or (
            name and not re.search(rf"^(?:def|class) {name}\b", file.read_text("utf-8"), re.MULTILINE)
        ):
            missing.append(f"{path}:{name}")
    assert missing == []
