"""Tables in text files: separator, header, quotation marks, and rows one after the other."""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Final

from benchdog.api.data import SampleCounts
from benchdog.api.reading import dialect
from benchdog.api.reading.cells import is_number
from benchdog.api.reading.text import MAX_LINE, TextFile, check_text
from benchdog.errors import BadData

BLANK: Final = "blank"
"""The reason why a row without values is left out."""
LISTED: Final = 5
"""Lines that a message lists."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """Stripped cells by column, and each row's line in the file.

    Attributes:
        literal: whether quotation marks were read as they are.
        notes: sentences for the user on what was left out.
        skipped: number of rows left out, by reason.
    """

    path: Path
    columns: dict[str, list[str]]
    lines: list[int]
    literal: bool = False
    notes: tuple[str, ...] = ()
    skipped: Mapping[str, int] = field(default_factory=dict)

    @property
    def counts(self) -> SampleCounts:
        """The rows of the file, those that are here, and why the others are not."""
        found = len(self.lines) + sum(self.skipped.values())
        return SampleCounts(found=found, used=len(self.lines), skipped=self.skipped, unit="rows")

    def keep(self, rows: Sequence[bool], reason: str) -> Table:
        """Return a table of the rows where the mask is True; `reason` says why the others are left out."""
        columns = {
            name: [cell for cell, stays in zip(cells, rows, strict=True) if stays]
            for name, cells in self.columns.items()
        }
        lines = [line for line, stays in zip(self.lines, rows, strict=True) if stays]
        return replace(
            self, columns=columns, lines=lines, skipped={**self.skipped, reason: len(self.lines) - len(lines)}
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class TableFile:
    """A table's header, and its rows as they are read.

    Attributes:
        file: the text.
        skipped: lines before the header.
        separator: a character, or `dialect.SPACES`.
        literal: whether quotation marks are read as they are.
        names: of the columns; "" where the header has none.
        notes: sentences for the user.
    """

    file: TextFile
    skipped: int
    separator: str
    literal: bool
    names: tuple[str, ...]
    notes: tuple[str, ...]

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Yield each row's first line and its stripped cells, [] for a blank row.

        Empty cells more than the header has names for are dropped, as are those that a row lacks where the header
        has no name. Other rows may have another number of cells than the header.
        """
        width = len(self.names)
        named = next((i for i in range(width, 0, -1) if self.names[i - 1]), 0)
        for line, cells in islice(_rows(self.file, self.skipped, self.separator, self.literal), 1, None):
            if not cells:
                pass
            elif len(cells) > width and not any(cells[width:]):
                del cells[width:]
            elif named <= len(cells) < width:
                cells += [""] * (width - len(cells))
            yield line, cells


def open_table(
    path: Path, separator: str = "auto", quote: str = "auto", needed: Sequence[str] = (), one_column: bool = False
) -> TableFile:
    """Read what a table's file begins with, and check that all of it is text.

    Args:
        path: the file.
        separator: a character, "tab", "spaces" (columns aligned by spaces) or "auto".
        quote: what quotation marks do: "double" (they enclose cells), "none" (they are text) or "auto".
        needed: with separator "auto": columns that the header must have; else the rows decide.
        one_column: with separator "auto": whether the table may have a single column.

    Raises:
        BadData: it is not text, is empty, has one column, or a quotation mark isn't closed.
        BadUsage: the separator is not one.
    """
    file = check_text(path)
    if file.null_line:
        raise BadData(
            f"{path}: line {file.null_line} holds a NUL character.", "The file is damaged, or not a table in UTF-8."
        )
    if file.long_line:
        raise BadData(
            f"{path}: line {file.long_line} has over {MAX_LINE:,} characters.",
            "Is it a table with a row per line?",
        )
    csv.field_size_limit(2**31 - 1)  # the library's own, 131,072 characters, is shorter than some texts
    with file.lines() as lines:
        head = list(islice(lines, dialect.HEAD_LINES))
    start = dialect.start_of(head)
    if start.body >= len(head) or not (any(line.strip() for line in head) or _has_text(file)):
        raise BadData(f"{path} is empty.", "The file needs a line of column names, and rows below it.")
    mark = dialect.separator_of(path, head, start, separator, needed, one_column)
    skipped, notes = dialect.header_line(head, start, mark)
    literal = quote == "none"
    if file.quotes and quote == "auto":
        literal, more = dialect.check_quotes(file, skipped, mark)
        notes += more
    first = next(_rows(file, skipped, mark, literal), (0, list[str]()))
    names = tuple(unicodedata.normalize("NFC", name) for name in first[1])
    return TableFile(file=file, skipped=skipped, separator=mark, literal=literal, names=names, notes=tuple(notes))


def read_table(path: Path, separator: str = "auto", quote: str = "auto", one_column: bool = False) -> Table:
    """Read a table as a whole.

    A column without name and values is left out, and so is an unnamed first one that numbers the rows.

    Args:
        path: the file.
        separator: as in `open_table`.
        quote: as in `open_table`.
        one_column: as in `open_table`.

    Raises:
        BadData: as `open_table`, or it is ragged, has no rows, or its header isn't one.
        BadUsage: the separator is not one.
    """
    opened = open_table(path, separator, quote, one_column=one_column)
    _check_header(opened)
    rows: list[list[str]] = []
    lines: list[int] = []
    blank = 0
    for line, cells in opened.rows():
        if cells:
            rows.append(cells)
            lines.append(line)
        else:
            blank += 1
    _check_widths(opened, rows, lines)
    if not rows:
        raise BadData(f"{path} has column names but no rows.")
    columns, notes = {}, [f"{path.name}: {note}" for note in opened.notes]
    for i, (name, column) in enumerate(zip(opened.names, zip(*rows, strict=True), strict=True)):
        if name:
            columns[name] = list(column)
        elif not any(column):
            notes.append(f"{path.name}: column {i + 1} has no name and no values: dropped.")
        elif i == 0 and _is_index(column):
            notes.append(f"{path.name}: the first column has no name and numbers the rows: dropped.")
        else:
            hint = "Name it"
            if i == 0:
                hint = "Is it the index of pandas? Write the file with index=False, or name it"
            elif opened.names.count("") * 2 > len(opened.names):
                hint = "Is that a title? Delete it: the columns must be named"
            raise BadData(f"{path}: column {i + 1} of {len(opened.names)} has no name.", f"{hint} in the first line.")
    if not columns:
        raise BadData(f"{path} has no named column.", "The first line must name the columns.")
    return Table(
        path=path, columns=columns, lines=lines, literal=opened.literal, notes=tuple(notes), skipped={BLANK: blank}
    )


def _rows(file: TextFile, skipped: int, mark: str, literal: bool) -> Iterator[tuple[int, list[str]]]:
    """Yield the first line and the stripped cells of each row, the header first; [] where they are all empty.

    Lines with nothing at all are no rows.
    """
    with file.lines() as lines:
        reader = dialect.reader(islice(lines, skipped, None), mark, literal=literal)
        line, begun = skipped + 1, False
        for row in reader:
            cells = [cell.strip() for cell in row]
            full = any(cells)
            begun = begun or full
            if begun and row:
                yield line, cells if full else []
            line = skipped + reader.line_num + 1


def _has_text(file: TextFile) -> bool:
    with file.lines() as lines:
        return any(line.strip() for line in lines)


def _check_header(table: TableFile) -> None:
    path, names = table.file.path, table.names
    if all(is_number(name) for name in names):
        raise BadData(f"{path}: the first line holds numbers, not names.", "Add a line with the column names.")
    for i, name in enumerate(names):
        if name and names.index(name) != i:
            raise BadData(f"{path}: two columns have the name {name!r}.", "Rename one of them.")


def _check_widths(table: TableFile, rows: Sequence[Sequence[str]], lines: Sequence[int]) -> None:
    width = len(table.names)
    ragged = [(line, len(row)) for line, row in zip(lines, rows, strict=True) if len(row) != width]
    if not ragged:
        return
    shown = ", ".join(f"line {line} has {n}" for line, n in ragged[:LISTED])
    more = f" and {len(ragged) - LISTED:,} more" if len(ragged) > LISTED else ""
    if len(ragged) == len(rows) and all(n == width + 1 for _, n in ragged) and _is_index([row[0] for row in rows]):
        hint = "Do the rows begin with an index? Name its column in the first line, or write the file without."
    else:
        hint = "Is a cell with a separator in it missing its quotation marks?"
    raise BadData(f"{table.file.path}: there are {width} columns, but {shown}{more}.", hint)


def _is_index(cells: Sequence[str]) -> bool:
    """Whether all cells are different whole numbers, as the index of a data frame or of some of its rows."""
    return len(set(cells)) == len(cells) and all(re.fullmatch(r"[0-9]{1,18}", cell) for cell in cells)
