"""Write examples/plugins from the templates, and from these the code of docs/guides/plugins and of the README.

`python scripts/plugin_pages.py` writes; with `--check` it lists what differs and exits with 1.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from benchdog.plugins import scaffold

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples" / "plugins"
PAGES = ROOT / "docs" / "guides" / "plugins"
NAMES = {
    "source": "stars",
    "model": "tiny-net",
    "task": "brier",
    "augmentation": "dim",
    "decoder": "wav",
    "trainer": "plain-sgd",
    "exporter": "xz",
    "backend": "one-core",
    "writer": "pgm",
    "observer": "diary",
    "command": "tensors",
}
"""The example of each kind: what `benchdog plugins new KIND NAME` writes, with --file too."""

BLOCK = re.compile(r"(<!-- file: (\S+) -->\n```\w+\n)(.*?)(^```$)", re.MULTILINE | re.DOTALL)


def examples() -> Iterator[tuple[Path, str]]:
    """Yield the files of all examples: path and text."""
    for kind, name in NAMES.items():
        for path, text in scaffold.package(kind, name).items():
            yield EXAMPLES / f"benchdog-{name}" / path, text
        yield EXAMPLES / f"{scaffold.module(name)}.py", scaffold.single(kind, name)


def pages() -> Iterator[tuple[Path, str]]:
    """Yield the pages with their current code."""
    for page in (ROOT / "README.md", *sorted(PAGES.glob("*.md"))):
        yield page, BLOCK.sub(_filled, page.read_text(encoding="utf-8"))


def _filled(block: re.Match[str]) -> str:
    """Fill a block with an example's file; blocks of other names stay."""
    file = EXAMPLES / block[2]
    return block[1] + file.read_text(encoding="utf-8") + block[4] if file.is_file() else block[0]


def differing() -> list[Path]:
    """Return the files that are out of date, and those that are not generated."""
    made = dict(examples())
    wrong = [path for path, text in made.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    wrong += [path for path in _there() if path not in made]
    return wrong + [page for page, text in pages() if page.read_text(encoding="utf-8") != text]


def _there() -> Iterator[Path]:
    """Yield the files under examples/plugins, without build artifacts."""
    for path in EXAMPLES.rglob("*"):
        parts = path.relative_to(EXAMPLES).parts
        left = any(p == "__pycache__" or p.endswith((".egg-info", "_cache")) or p in ("build", "dist") for p in parts)
        if path.is_file() and not left:
            yield path


def main() -> int:
    """Write, or check."""
    if "--check" in sys.argv:
        wrong = differing()
        for path in wrong:
            print(f"{path.relative_to(ROOT)} differs: python scripts/plugin_pages.py", file=sys.stderr)
        return int(bool(wrong))
    for path, text in examples():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
    for page, text in pages():
        page.write_text(text, encoding="utf-8", newline="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
