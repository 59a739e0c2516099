"""Every command of the documentation, run page by page as a reader would; exceptions state a reason."""

import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from support import fork_server
from support.docs.pages import ROOT, Block, blocks, differs, loose, pages, shortened
from support.docs.reader import Done, read

PAGES = pages()
NOT_RUN = 12
"""Maximum number of blocks that are not run."""


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def commands(page: Path) -> list[Block]:
    return [block for block in blocks(page) if block.language == "sh"]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_are_in_sh_blocks(page):
    assert loose(page) == [], "put commands into ```sh blocks, so that a test runs them"


def test_blocks_not_run_are_few_and_give_a_reason():
    kept = {f"{name_of(page)}:{block.line}": block.why_not for page in PAGES for block in commands(page)}
    kept = {where: why for where, why in kept.items() if why}
    assert all(len(why.split()) > 3 for why in kept.values()), kept
    assert len(kept) <= NOT_RUN, kept


@pytest.fixture(scope="module")
def done(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[Path, Future[list[Done]]]]:
    """Run the pages of the selected tests, two at a time, longest first."""
    selected = [each for each in request.session.items if isinstance(each, pytest.Function)]
    chosen: set[Any] = {each.callspec.params["page"] for each in selected if "done" in each.fixturenames}
    order = sorted(chosen, key=lambda page: -sum(block.text.count("\n") + 1 for block in commands(page)))
    with fork_server.serving() as programs, ThreadPoolExecutor(2) as readers:
        cache = tmp_path_factory.mktemp("cache")
        yield {
            page: readers.submit(read, page, tmp_path_factory.mktemp("page"), str(programs), cache) for page in order
        }


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32" or not shutil.which("bash"), reason="the pages' commands are a shell's")
@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)], ids=name_of)
def test_page_commands_print_what_the_page_shows(page, done):
    ran = done[page].result()
    for each in ran:
        what = "not run: " if each.block.why_not else ""
        print(f"{name_of(page)}:{each.block.line}  {what}{each.seconds:.1f} s")
    faults = [each for each in ran if each.fault]
    assert not faults, "\n".join(
        f"{name_of(page)}:{each.block.line}: {each.fault}\n{each.block.typed}\n---\n{each.printed}" for each in faults
    )
    expected = [block for block in commands(page) if not block.why_not]
    assert [each.block for each in ran if each.block.language == "sh"] == expected


PAGE = """\
Words.

<!-- given: wines.csv -->
<!-- trained with: --epochs 1 -->
```sh
benchdog train wines.csv   # why not
```

```text
epoch 1/1: loss 0.71
...
done
```

```text
not an output
```

<!-- not run: it would take
until tomorrow -->
```sh
sleep 86400
```

```python
# nets.py
x = 1
```
"""


def test_blocks_parse_with_their_comments(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(PAGE, encoding="utf-8")
    train, other, sleep, file = blocks(page)
    assert train.typed == "benchdog train --epochs 1 wines.csv   # why not"
    assert train.marks["given"] == ["wines.csv"]
    assert train.output
    assert train.output.text == "epoch 1/1: loss 0.71\n...\ndone"
    assert other.text == "not an output"
    assert sleep.why_not == "it would take\nuntil tomorrow"
    assert (file.file, sleep.file) == ("nets.py", "")
    assert loose(page) == []


@pytest.mark.parametrize(
    ("shown", "printed", "fault"),
    [
        ("loss 0.71", "loss  0.69\n", ""),
        ("loss 0.71", "lost 0.71", "the page says 'loss 0', printed is ['lost 0']"),
        ("a", "a\nb", "printed is also ['b']"),
        ("a\nb", "a", "the page says 'b', printed is ['a']"),
        ("b 2\na 1", "a 9\nb 8", ""),
        ("a\n...\nd", "a\nb\nc\nd", ""),
        ("a\n...\nc\n...\ne", "a\nb\nc\nd\ne", ""),
        ("a\n...", "a\nb\nc", ""),
        ("...\nc", "a\nb", "the page says 'c', printed is ['a']"),
        ("...\nb", "b\nc", "the page says 'b', printed is ['b']"),
        ('{"a":0.5,"b":1.0247514182992745e-05}', '{"a":0.25,"b":0.1}', ""),
        ("auc 0.91 (0.8 to 1.0)  0.5", "auc 1.0  0.5", ""),
        ("sha256 0123456789abcdef", "sha256 fedcba9876543210", ""),
        ("best: epoch 3", "best: epoch 3\n  of 9 epochs: --set loop.patience=2 would have stopped", ""),
    ],
)
def test_output_comparison_ignores_numbers(shown, printed, fault):
    assert differs(shown, printed) == fault


def test_shortened_output_keeps_its_gaps():
    assert shortened("a 1\n...\nd 1", "a 2\nb 2\nc 2\nd 2\n") == "a 2\n...\nd 2"
    assert shortened("...\nc", "a\nb\nc\n") == "...\nc"
    assert shortened("x", "a\nb\n") == "a\nb"


def test_commands_outside_blocks_are_reported(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("Do:\n\n    benchdog train digits\n\n```\n$ benchdog runs list\n```\n", encoding="utf-8")
    assert loose(page) == ["    benchdog train digits", "$ benchdog runs list"]
