"""The commands of a page of the documentation, as blocks that a reader types one after another.

A ```sh block is a command block. What a test does otherwise than the reader stands above it as a comment, which a
reader of the Markdown sees:

    <!-- not run: why -->             the block can't be run here
    <!-- run: SHELL -->               this is run in its place
    <!-- first: SHELL -->             this is run before it: what a reader has done already
    <!-- given: wines.csv photos/ --> files that a reader has (doc_givens.py makes them)
    <!-- trained with: FLAGS -->      `benchdog train` gets these flags too: a shorter training
    <!-- ends with: 2 -->             the exit code that the block ends with
    <!-- output: why -->              what is printed isn't compared
    <!-- server -->                   it serves until the page ends

A ```text block that follows at once is what the block prints: numbers aside, it is compared line by line, and a
line of `...` stands for lines that are left out. A block whose first line is `# name.py`, or that has the comment
`<!-- file: name -->` above it, is a file that the reader writes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[3]
KEYS = ("not run", "run", "first", "given", "trained with", "ends with", "output", "server", "file")
FENCE = re.compile(r"^```(\w*)\s*$")
MARK = re.compile(r"^<!-- ([a-z ]+?)(?:: (.*?))? ?-->$", re.DOTALL)
CHANCE = re.compile(r"  of \d+ epochs: --set loop|\s*[\d.]*\s*\|[ *^s]*$|\s*\+\+?-[-+s]*$|\s*(1e-?\d+\s*)+$")
"""Lines that another processor may print otherwise: advice about the best epoch, a curve drawn in text."""
NAMED = re.compile(r'^(?:# |""")([\w./-]+\.(?:py|toml|csv|txt))\b')


@dataclass(frozen=True, kw_only=True)
class Block:
    """A fenced block: its language, its text, the comments above it, and what it prints according to the page."""

    line: int
    language: str
    text: str
    marks: dict[str, list[str]] = field(default_factory=dict)
    output: Block | None = None

    @property
    def why_not(self) -> str:
        """Why it isn't run; empty if it is."""
        return " ".join(self.marks.get("not run", []))

    @property
    def file(self) -> str:
        """The name of the file that the block is, or nothing."""
        named = NAMED.match(self.text)
        return self.marks["file"][0] if "file" in self.marks else named[1] if named and self.language != "sh" else ""

    @property
    def otherwise(self) -> bool:
        """Whether something else is printed than the page says."""
        return bool({"run", "trained with", "output"} & set(self.marks))

    @property
    def typed(self) -> str:
        """What a test types in place of the reader."""
        text = "\n".join(self.marks.get("run", [self.text]))
        for flags in self.marks.get("trained with", []):
            text = re.sub(r"(?m)^(benchdog(?: --plugin \S+)* train)(?! --resume)\b", rf"\1 {flags}", text)
        return text


def pages() -> list[Path]:
    """Give every page: the README and what lies under docs/."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: Path) -> list[Block]:
    """Give a page's fenced blocks in their order; a block of output belongs to the one before it."""
    found: list[Block] = []
    ended = -1  # the line after the last block of commands, as long as nothing else was read
    for at, after, block in _fenced(page.read_text(encoding="utf-8").splitlines()):
        if block.language == "text" and at == ended and found[-1].output is None:
            found[-1] = Block(**{**vars(found[-1]), "output": block})
        else:
            found.append(block)
        ended = after if block.language == "sh" else -1
    return found


def _fenced(lines: list[str]) -> Iterator[tuple[int, int, Block]]:
    """Give each block with the lines at which what belongs to it begins and after which it ends."""
    marks: dict[str, list[str]] = {}
    at = start = 0  # `start`: where the text before a block ended
    while at < len(lines):
        line = lines[at]
        if line.startswith("<!--"):
            end = next(i for i in range(at, len(lines)) if lines[i].endswith("-->"))
            said = MARK.match("\n".join(lines[at : end + 1]))
            if said and said[1] in KEYS:
                marks.setdefault(said[1], []).append(said[2] or "")
            at = end + 1
        elif fence := FENCE.match(line):
            end = next(i for i in range(at + 1, len(lines)) if lines[i].strip() == "```")
            text = "\n".join(lines[at + 1 : end])
            yield start, end + 1, Block(line=at + 1, language=fence[1], text=text, marks=marks)
            at, start, marks = end + 1, end + 1, {}
        else:
            if line.strip():
                start, marks = at + 1, {}
            at += 1


def loose(page: Path) -> list[str]:
    """Give commands that stand in no ```sh block, where no test would find them."""
    text = page.read_text(encoding="utf-8")
    outside = re.sub(r"(?ms)^```\w*\n.*?^```$", "", text)
    found = re.findall(r"(?m)^    (?:\$ )?(?:benchdog|python|pip|conda|make) .*$", outside)
    unnamed = [block.text for block in blocks(page) if block.language == ""]
    return [*found, *(line for text in unnamed for line in text.splitlines() if re.match(r"(\$ )?benchdog ", line))]


def plain(text: str) -> list[str]:
    """Give the lines of an output without what may differ: numbers, hashes, widths."""
    lines = []
    for line in text.strip().splitlines():
        if CHANCE.match(line):
            continue
        line = re.sub(r"(?<![\w.])[0-9a-f]{12,}\b", "0", line)
        line = re.sub(r"-{3,}", "---", line)
        line = re.sub(r"[-+]?\d(?:[\d.,:]*\d)?(e[-+]?\d+)?", "0", line)
        line = line.replace(" (0 to 0)", "")  # a perfect score has no interval
        lines.append(" ".join(line.split()).removesuffix(" *"))  # the mark of a best epoch: chance on other hardware
    return lines


def differs(said: str, printed: str) -> str:
    """Compare a page's output with the real one; say what isn't as the page says, or nothing.

    Lines may change places where none is left out between them: what is sorted by a number is sorted by chance.
    """
    real, at = plain(printed), 0
    parts: list[list[str]] = [[]]
    for line in plain(said):
        if line == "...":
            parts.append([])
        else:
            parts[-1].append(line)
    for number, part in enumerate(parts):
        first, last = number == 0, number == len(parts) - 1
        starts = range(0, 1) if first else range(at, len(real) - len(part) + 1)
        for start in starts[-1:] if last else starts:
            if sorted(real[start : start + len(part)]) == sorted(part):
                at = start + len(part)
                break
        else:
            lost = next((line for line in part if line not in real[at:]), part[0])
            return f"the page says {lost!r}, printed is {real[at : at + len(part)]}"
    return f"printed is also {real[at:]}" if len(parts) == 1 and at < len(real) else ""


def shortened(said: str, printed: str) -> str:
    """Give the real output with as many lines left out at `...` as the page leaves out."""
    real = [line.rstrip() for line in printed.strip("\n").splitlines()]
    parts = [part.strip("\n").splitlines() for part in re.split(r"(?m)^\.\.\.$", said)]
    if len(parts) == 1:
        return "\n".join(real)
    head, tail = real[: len(parts[0])], real[len(real) - len(parts[-1]) :] if parts[-1] else []
    middle = [[real[_like(line, real)] for line in part] for part in parts[1:-1]]
    return "\n...\n".join("\n".join(part) for part in [head, *middle, tail]).strip("\n")


def _like(line: str, real: list[str]) -> int:
    """Find the line that begins as this one does."""
    begin = plain(line)[0].split()[:2] if line.strip() else []
    return next(i for i, other in enumerate(real) if other.strip() and plain(other)[0].split()[:2] == begin)
