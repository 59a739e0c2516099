"""MkDocs hooks: pages from outside docs/, folders in the navigation, the figure in the site's colors.

MkDocs calls the functions `on_...` (hooks in mkdocs.yml).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
ELSEWHERE = {"contributing.md": ROOT / "CONTRIBUTING.md", "changelog.md": ROOT / "CHANGELOG.md"}
"""Pages in the repository's root."""
SAME = {path: name for name, path in ELSEWHERE.items()} | {ROOT / "README.md": "index.md"}
LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(([^)#\s]+)(#[^)]*)?\)")
KEYS = "not run|run|first|given|trained with|ends with|output|server|file|made by|end"
MARK = re.compile(rf"(?ms)^<!-- (?:{KEYS})\b.*?-->\n")
FILE = re.compile(r"<!-- file: (\S+) -->\n(?:<!--[^\n]*\n)*$")
"""Comment above a block that is a file: its name is shown."""
FIRST = (
    "source",
    "model",
    "task",
    "augmentation",
    "decoder",
    "trainer",
    "exporter",
    "backend",
    "writer",
    "command",
    "observer",
)
"""Order of the pages in guides/plugins/, as in the tour."""
TOUR = "tutorials/tour.md"


def on_config(config: Any) -> Any:
    """Replace folders in the navigation by their pages."""
    config["nav"] = _spread(config["nav"])
    return config


def on_files(files: Any, config: Any) -> Any:
    """Add the pages outside docs/."""
    for name, path in ELSEWHERE.items():
        files.append(File.generated(config, name, content=path.read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Drop test comments, rewrite links that leave docs/, inline the figure."""
    name = page.file.src_uri
    here = ELSEWHERE.get(name, DOCS / name).parent
    shown = (DOCS / name).parent
    fences = re.split(r"(?ms)(^ *```.*?^ *```$)", markdown)
    for i in range(0, len(fences), 2):
        if i + 1 < len(fences) and (named := FILE.search(fences[i])):
            fences[i + 1] = fences[i + 1].replace("\n", f' title="{named[1]}"\n', 1)
        text = MARK.sub("", fences[i])
        text = LINK.sub(lambda link: _link(link, here, shown), text)
        fences[i] = re.sub(r"!\[[^\]]*\]\([^)]*figure\.svg\)", lambda _: figure(name), text)
    return "".join(fences)


def figure(page: str) -> str:
    """Return the figure as inline SVG, colored by the site's style sheet, each box linked to the tour."""
    svg = (DOCS / "assets" / "figure.svg").read_text(encoding="utf-8")
    svg = re.sub(r"<style>.*?</style>", "", svg, flags=re.DOTALL)
    tour = "" if page == TOUR else Path(os.path.relpath(TOUR, Path(page).parent)).with_suffix(".html").as_posix()

    def linked(box: re.Match[str]) -> str:
        slug = re.sub(r"[^a-z]+", "-", box[2].lower())
        return f'<a href="{tour}#{slug}">{box[1]}</a>'

    box = r'(<rect [^>]*/><text class="t"[^>]*>([^<]*)</text>(?:\s*<text class="s"[^>]*>[^<]*</text>)*)'
    return f'<div class="figure">{re.sub(box, linked, svg).replace(chr(10), "")}</div>'


def _spread(items: list[Any]) -> list[Any]:
    spread: list[Any] = []
    for item in items:
        if isinstance(item, dict):
            spread.append({title: _spread(v) if isinstance(v, list) else v for title, v in item.items()})
        elif item.endswith("/"):
            spread += [f"{item}{name}.md" for name in _in_order(path.stem for path in (DOCS / item).glob("*.md"))]
        else:
            spread.append(item)
    return spread


def _in_order(names: Iterable[str]) -> list[str]:
    order = ["index", *FIRST]
    return sorted(names, key=lambda name: (order.index(name) if name in order else len(order), name))


def _link(link: re.Match[str], here: Path, shown: Path) -> str:
    """Rewrite a link for the site; a target outside the site is named, not linked."""
    text, target, anchor = link[1], link[2], link[3] or ""
    if re.match(r"[a-z]+:", target):
        return link[0]
    path = Path(os.path.normpath(here / target))
    if path in SAME:
        path = DOCS / SAME[path]
    elif DOCS not in path.parents or path.is_dir():
        named = path.relative_to(ROOT).as_posix() + ("/" if path.is_dir() else "")
        bare = text.strip("`")
        return f"`{named}`" if named.rstrip("/").endswith(bare.rstrip("/")) else f"{text} (`{named}`)"
    return f"[{text}]({Path(os.path.relpath(path, shown)).as_posix()}{anchor})"
