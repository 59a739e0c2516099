"""Command blocks of a documentation page.

A ```sh block is a command block. Deviations of the test from the reader are comments above it:

    <!-- not run: why -->             the block is not run
    <!-- run: SHELL -->               runs this instead
    <!-- first: SHELL -->             runs this first: what a reader has already done
    <!-- given: wines.csv photos/ --> files that a reader has (sample_files.py makes them)
    <!-- trained with: FLAGS -->      adds flags to `benchdog train`, in place of its --epochs: a shorter training
    <!-- ends with: 2 -->             the block's exit code
    <!-- output: why -->              the output is not compared
    <!-- server -->                   runs until the page ends

A ```text block directly after it is its output: compared line by line without numbers; a line of `...` stands for
omitted lines. A block whose first line is `# name.py`, or with the comment `<!-- file: name -->` above it, is a file
that the reader writes.
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
"""Lines that depend on the processor: advice about the best epoch, text plots."""
TRAIN = re.compile(r"^(benchdog(?: --plugin \S+)* train)(?! --resume)\b(.*?)(?: --epochs \d+(.*))?$")
NAMED = re.compile(r'^(?:# |""")([\w./-]+\.(?:py|toml|csv|txt))\b')


@dataclass(frozen=True, kw_only=True)
class Block:
    """A fenced block: language, text, comments above it, and the output shown on the page."""

    line: int
    language: str
    text: str
    marks: dict[str, list[str]] = field(default_factory=dict)
    output: Block | None = None

    @property
    def why_not(self) -> str:
        """Reason for not running it; empty if it runs."""
        return " ".join(self.marks.get("not run", []))

    @property
    def file(self) -> str:
        """Name of the file that the block defines, or an empty string."""
        named = NAMED.match(self.text)
        return self.marks["file"][0] if "file" in self.marks else named[1] if named and self.language != "sh" else ""

    @property
    def otherwise(self) -> bool:
        """Whether the output differs from the page by design."""
        return bool({"run", "trained with", "output"} & set(self.marks))

    @property
    def typed(self) -> str:
        """Commands as the test runs them."""
        text = "\n".join(self.marks.get("run", [self.text]))
        for flags in self.marks.get("trained with", []):
            lines = [TRAIN.sub(rf"\1 {flags}\2\3", line) for line in text.splitlines()]
            text = "\n".join(lines)
        return text


def pages() -> list[Path]:
    """Return every page: the README and docs/."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: Path) -> list[Block]:
    """Return a page's fenced blocks in order; an output block is attached to its command block."""
    parsed: list[Block] = []
    ended = -1  # the line after the last block of commands, as long as nothing else was read
    for at, after, block in _fenced(page.read_text(encoding="utf-8").splitlines()):
        if block.language == "text" and at == ended and parsed[-1].output is None:
            parsed[-1] = Block(**{**vars(parsed[-1]), "output": block})
        else:
            parsed.append(block)
        ended = after if block.language == "sh" else -1
    return parsed


def _fenced(lines: list[str]) -> Iterator[tuple[int, int, Block]]:
    """Yield each block with its first line, comments included, and the line after it."""
    marks: dict[str, list[str]] = {}
    at = start = 0  # `start`: where the text before a block ended
    while at < len(lines):
        line = lines[at]
        if line.startswith("<!--"):
            end = next(i for i in range(at, len(lines)) if lines[i].endswith("-->"))
            mark = MARK.match("\n".join(lines[at : end + 1]))
            if mark and mark[1] in KEYS:
                marks.setdefault(mark[1], []).append(mark[2] or "")
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
    """Return commands outside ```sh blocks, which no test would run."""
    text = page.read_text(encoding="utf-8")
    outside = re.sub(r"(?ms)^```\w*\n.*?^```$", "", text)
    indented = re.findall(r"(?m)^    (?:\$ )?(?:benchdog|python|pip|conda|make) .*$", outside)
    unnamed = [block.text for block in blocks(page) if block.language == ""]
    return [
        *indented,
        *(line for text in unnamed for line in text.splitlines() if re.match(r"(\$ )?benchdog ", line)),
    ]


def plain(text: str) -> list[str]:
    """Return the lines of an output without numbers, hashes and column widths."""
    lines = []
    for line in text.strip().splitlines():
        if CHANCE.match(line):
            continue
        line = re.sub(r"(?<![\w.])[0-9a-f]{12,}\b", "0", line)
        line = re.sub(r"-{3,}", "---", line)
        line = re.sub(r"[-+]?\d(?:[\d.,:]*\d)?(e[-+]?\d+)?", "0", line)
        line = line.replace(" (0 to 0)", "")  # a perfect score has no interval
        lines.append(" ".join(line.split()).removesuffix(" *"))  # the mark of a best epoch depends on the hardware
    return lines


def differs(shown: str, printed: str) -> str:
    """Return how the real output differs from the page's, or an empty string.

    Lines between gaps may be in any order: what is sorted by a number is sorted by chance.
    """
    real, at = plain(printed), 0
    parts: list[list[str]] = [[]]
    for line in plain(shown):
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


def shortened(shown: str, printed: str) -> str:
    """Return the real output with the same lines omitted at `...` as on the page."""
    real = [line.rstrip() for line in printed.strip("\n").splitlines()]
    parts = [part.strip("\n").splitlines() for part in re.split(r"(?m)^\.\.\.$", shown)]
    if len(parts) == 1:
        return "\n".join(real)
    head, tail = real[: len(parts[0])], real[len(real) - len(parts[-1]) :] if parts[-1] else []
    middle = [[real[_like(line, real)] for line in part] for part in parts[1:-1]]
    return "\n...\n".join("\n".join(part) for part in [head, *middle, tail]).strip("\n")


def _like(line: str, real: list[str]) -> int:
    """Return the index of the line with the same beginning."""
    begin = plain(line)[0].split()[:2] if line.strip() else []
    return next(i for i, other in enumerate(real) if other.strip() and plain(other)[0].split()[:2] == begin)
