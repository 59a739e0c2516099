"""Run the commands of documentation pages as their test does; optionally write the output into the pages.

    python scripts/doc_commands.py [PAGE ...]           run them, report differences
    python scripts/doc_commands.py --write PAGE ...     run them, and write the real output into the pages
    python scripts/doc_commands.py --list               list which blocks run, which do not, and why

The comments in pages: tests/support/docs/pages.py.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.docs.pages import ROOT, blocks, pages, shortened
from support.docs.reader import Done, read


def written(page: Path, done: list[Done]) -> str:
    """Return the page with the real output."""
    lines = page.read_text(encoding="utf-8").splitlines()
    for each in reversed(done):
        shown = each.block.output
        if shown is None or each.block.otherwise:
            continue
        end = shown.line + len(shown.text.splitlines())
        lines[shown.line : end] = shortened(shown.text, each.printed).splitlines()
    return "\n".join(lines) + "\n"


def listed() -> None:
    """Print the command blocks by page, and why some are not run."""
    ran, kept = 0, 0
    for page in pages():
        for block in blocks(page):
            if block.language == "sh":
                where = f"{page.relative_to(ROOT).as_posix()}:{block.line}"
                ran, kept = ran + (not block.why_not), kept + bool(block.why_not)
                print(f"{where}  {'not run: ' + block.why_not if block.why_not else 'run'}")
    print(f"{ran} blocks of commands are run, {kept} are not")


def main(arguments: list[str]) -> int:
    """Run pages."""
    if "--list" in arguments:
        listed()
        return 0
    chosen = [Path(name).absolute() for name in arguments if not name.startswith("--")] or pages()
    wrong = 0
    for page in chosen:
        before = os.times()
        with tempfile.TemporaryDirectory() as folder:
            done = read(page, Path(folder).resolve(), stop="--write" not in arguments)
        for each in done:
            print(f"{page.name}:{each.block.line}  {each.seconds:.1f} s  {each.fault}", flush=True)
            if each.fault:
                print(each.printed)
        after = os.times()
        spent = after.children_user + after.children_system - before.children_user - before.children_system
        print(f"{page.name}: {spent:.0f} s of a processor", flush=True)
        wrong += sum(bool(each.fault) for each in done)
        if "--write" in arguments:
            page.write_text(written(page, done), encoding="utf-8", newline="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
