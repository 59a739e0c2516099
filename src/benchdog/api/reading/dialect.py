"""What a table's file shows of itself: lines before the header, the separator, and what quotation marks mean."""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

from benchdog.api.reading.cells import is_number
from benchdog.api.reading.kinds import document_of
from benchdog.api.reading.text import TextFile
from benchdog.errors import BadData, BadUsage

SEPARATORS: Final = (",", ";", "\t", "|")
SPACES: Final = "spaces"
"""The separator of columns that are aligned by any number of spaces."""
NAMED: Final = {"tab": "\t", "\\t": "\t", "space": " "}
HEAD_LINES: Final = 500
"""Lines by which the separator is detected."""
HEAD_ROWS: Final = 50
MANY_LINES: Final = 10
"""A quoted cell of more lines, in a table of two columns, is taken for rows when each line has one separator."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Start:
    """The lines before a table's header.

    Attributes:
        skipped: lines that say something about the file: Excel's "sep=;".
        separator: that line's, or "auto".
        comments: positions of lines that begin with "#".
        body: position of the first line that does not.
    """

    skipped: int
    separator: str
    comments: tuple[int, ...]
    body: int


def start_of(head: Sequence[str]) -> Start:
    """Look at the first lines of a file."""
    named = re.match(r'"?sep=(.)"?\s*$', head[0], re.IGNORECASE) if head else None
    skipped = 1 if named else 0
    comments: list[int] = []
    for i in range(skipped, len(head)):
        if head[i].lstrip().startswith("#"):
            comments.append(i)
        elif head[i].strip():
            break
    else:  # nothing but such lines: they are the table
        comments, i = [], skipped
    return Start(skipped=skipped, separator=named[1] if named else "auto", comments=tuple(comments), body=i)


def header_line(head: Sequence[str], start: Start, mark: str) -> tuple[int, list[str]]:
    """Return the number of lines before the header, and a note if comments are among them.

    The last line that begins with "#" is the header when it has as many cells as the next, as `#id,name` does, or
    `# a,b` over numbers (numpy.savetxt).
    """
    if not start.comments:
        return start.skipped, []
    last = start.comments[-1]
    above, below = _first([head[last]], mark), _first(head[start.body :], mark)
    named = len(above) == len(below) > 1 and (head[last][1:2] != " " or any(map(is_number, below)))
    count = len(start.comments) - named
    what = "1 line that begins with # is" if count == 1 else f"{count} lines that begin with # are"
    return last if named else start.body, [f"{what} skipped at the beginning."] if count else []


def separator_of(
    path: Path, head: Sequence[str], start: Start, separator: str, needed: Sequence[str], one_column: bool
) -> str:
    """Return the separator: the one that is named, fits the header, or gives the first rows equally many cells.

    Args:
        path: for messages.
        head: the file's first lines.
        start: what was found in them.
        separator: as the user gave it.
        needed: columns that the header must have; empty to detect the separator from the rows.
        one_column: whether the table may have a single one.

    Raises:
        BadUsage: it is not one character.
        BadData: there is one column.
    """
    lines = head[start.body :]
    mark = NAMED.get(separator, separator) if separator != "auto" else start.separator
    if mark == "auto":
        headers = [*([head[i]] for i in start.comments[-1:]), lines]
        mark = _fitting(headers, needed) if needed else _even(path, lines, one_column)
    if mark != SPACES and (len(mark) != 1 or mark in '"\n'):
        raise BadUsage(f"separator must be one character, not {separator!r}.", "Or auto, tab or spaces.")
    return SPACES if mark == " " and "" in _first(lines, mark) else mark


def _fitting(headers: Sequence[Sequence[str]], needed: Sequence[str]) -> str:
    """Choose what separates the header into most of the columns that are needed."""
    wanted = set(needed)

    def fits(mark: str) -> tuple[int, int]:
        found = [set(_first(lines, mark)) for lines in headers]
        return max((len(names & wanted), len(names)) for names in found)

    marks = (*SEPARATORS, ":")
    best = max(marks, key=fits)
    if fits(best)[0] < len(wanted):  # an unusual one that a table was trained with: it must fit wholly
        line = "".join(lines[0] for lines in headers)
        others = [c for c in dict.fromkeys(line) if not (c.isalnum() or c in marks or c in '"\r\n\0')]
        best = next((mark for mark in others if fits(mark)[0] == len(wanted)), best)
    return best


def _even(path: Path, lines: Sequence[str], one_column: bool) -> str:
    """Return the separator that splits the first rows into the most columns, equally many in each."""
    what, remedy = document_of(path, lines[0])
    if what:
        raise BadData(f"{path} holds {what}, not a table.", remedy)
    widths = {mark: _widths(lines, mark) for mark in SEPARATORS}
    even = [mark for mark in SEPARATORS if len(set(widths[mark])) == 1]
    best = max(even or SEPARATORS, key=lambda mark: widths[mark][0])
    if widths[best][0] < 2:
        best = max(SEPARATORS, key=lambda mark: widths[mark][0])
    if widths[best][0] > 1 or one_column:
        return best
    words = {len(line.split()) for line in lines if line.strip()}
    if len(words) == 1 and words != {1}:
        raise BadData(
            f"{path}: the columns are aligned by spaces.", "Name the separator: --set source.separator=spaces"
        )
    raise BadData(f"{path} has one column.", "Name the separator: --set source.separator=CHARACTER.")


def _widths(lines: Sequence[str], mark: str) -> list[int]:
    """Return the numbers of cells of the first rows."""
    widths: list[int] = []
    for row in reader(lines, mark):
        if any(cell.strip() for cell in row):
            widths.append(len(row))
        if len(widths) == HEAD_ROWS:
            return widths
    # The last row may continue after these lines.
    return (widths[:-1] if len(lines) >= HEAD_LINES else widths) or [0]


def _first(lines: Sequence[str], mark: str) -> list[str]:
    """Return the cells of the first row."""
    rows = ([unicodedata.normalize("NFC", cell.strip()) for cell in row] for row in reader(lines, mark))
    return next((row for row in rows if any(row)), [])


def reader(lines: Iterable[str], mark: str, *, literal: bool = False, strict: bool = False) -> Any:
    """Return a csv.reader of lines; `literal` reads quotation marks as text."""
    if mark == SPACES:
        lines, mark = (" ".join(line.split()) + "\n" for line in lines), " "
    form: dict[str, Any] = {"delimiter": mark, "skipinitialspace": mark != " ", "strict": strict}
    return csv.reader(lines, quoting=csv.QUOTE_NONE if literal else csv.QUOTE_MINIMAL, **form)


# --- quotation marks ---------------------------------------------------------------------------------


def check_quotes(file: TextFile, skipped: int, mark: str) -> tuple[bool, list[str]]:
    """Decide whether quotation marks are text, and return notes.

    They are where they don't enclose cells, in a table of tabs that has equally many cells in each line without them.

    Raises:
        BadData: they don't pair up: a cell would swallow the lines below.
    """
    open_at, loose_at = _unpaired(file, skipped, mark)
    if not (open_at or loose_at):
        return False, []
    fault = f"a quotation mark is not closed in line {open_at}"
    loose = f"text follows a closing quotation mark in line {loose_at}"
    if mark == "\t" and _is_even(file, skipped, mark):
        return True, [f"{fault if open_at else loose}; all quotation marks are read as text (option quote)."]
    if not open_at:
        return False, [f"{loose}; the marks are dropped (option quote)."]
    raise BadData(
        f"{file.path}: {fault}: its cell would swallow the rows below.",
        'Close it, or write "" for a mark within a cell. To read all marks as text: --set source.quote=none; '
        "if the lines are one cell: --set source.quote=double",
    )


def _unpaired(file: TextFile, skipped: int, mark: str) -> tuple[int, int]:
    """Return the first line with a quotation mark that isn't closed, and with text after a closing one; 0: none."""
    line, width = skipped + 1, 0
    try:  # most files pass a strict reader, and are through
        for cells, raw in _records(file, skipped, mark, strict=True):
            width = width or len(cells)
            if len(raw) > 1 and _are_rows(raw, mark, width):
                return line, 0
            line += len(raw)
    except csv.Error:
        return _first_fault(file, skipped, mark)
    return 0, 0


def _first_fault(file: TextFile, skipped: int, mark: str) -> tuple[int, int]:
    """Do what `_unpaired` does, for a file that a strict reader doesn't accept."""
    line, width, loose = skipped + 1, 0, 0
    for cells, raw in _records(file, skipped, mark):
        width = width or len(cells)
        fault = _fault(raw, mark) if '"' in raw[0] else ""
        if fault.startswith("unexpected end") or (len(raw) > 1 and (fault or _are_rows(raw, mark, width))):
            return line, 0
        loose = loose or (line if fault else 0)
        line += len(raw)
    return 0, loose


def _records(
    file: TextFile, skipped: int, mark: str, *, strict: bool = False
) -> Iterator[tuple[list[str], list[str]]]:
    """Yield each row's cells, and its lines."""
    raw: list[str] = []

    def remembered(lines: Iterable[str]) -> Iterator[str]:
        for line in lines:
            raw.append(line)
            yield line

    with file.lines() as lines:
        for cells in reader(remembered(islice(lines, skipped, None)), mark, strict=strict):
            yield cells, raw
            raw.clear()


def _fault(raw: Sequence[str], mark: str) -> str:
    """Return what a strict reader says against the lines of one row, but for spaces after closing marks."""
    after = re.compile(rf'"[ \t]+(?={re.escape(mark)}|$)')
    lines = [after.sub('"', line.rstrip("\n")) + "\n" for line in raw]
    try:
        for _ in reader([*lines[:-1], lines[-1].rstrip("\n")], mark, strict=True):
            pass
    except csv.Error as error:
        return str(error)
    return ""


def _are_rows(raw: Sequence[str], mark: str, width: int) -> bool:
    """Whether the lines of one row look like rows: each has the separators of one, and the last begins with text."""
    if width < 2 or raw[-1].startswith('"') or any(line.count(mark) != width - 1 for line in raw):
        return False
    return mark == "\t" or (len(raw) > 2 and width > 2) or len(raw) > MANY_LINES


def _is_even(file: TextFile, skipped: int, mark: str) -> bool:
    """Whether all rows have equally many cells when quotation marks are text."""
    with file.lines() as lines:
        rows = reader(islice(lines, skipped, None), mark, literal=True)
        return len({len(row) for row in rows if any(cell.strip() for cell in row)}) == 1
