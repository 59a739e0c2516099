"""CSV reader and type detection of columns."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchdog.api import BadData, BadUsage
from benchdog.builtin.sources.messages import read_text, shortened

ABSENT: Final = ("", "na", "n/a", "nan", "null", "?")
"""What stands for an absent value, in any case of letters, wherever it is."""
MISSING: Final = (*ABSENT, "none", "nil", "-", "#n/a")
"""What does so in a column to learn from, or among numbers; a class may well be called none."""
MOSTLY: Final = 0.8
"""A column with this share of numbers is taken to be meant as one of numbers."""
MAX_CATEGORIES: Final = 100
"""A column of more different texts holds no categories."""
TYPOS: Final = 20
"""So many cells of a column of numbers, and no more, may be typing errors."""
TYPO_SHARE: Final = 0.05
"""So large a share of them, too."""
SEPARATORS: Final = (",", ";", "\t", "|")
Numbers = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """Stripped cells by column, and each row's line in the file."""

    path: Path
    columns: dict[str, list[str]]
    lines: list[int]

    def keep(self, rows: Sequence[bool]) -> Table:
        """Return a table of the rows where the mask is True."""
        columns = {
            name: [cell for cell, stays in zip(cells, rows, strict=True) if stays]
            for name, cells in self.columns.items()
        }
        lines = [line for line, stays in zip(self.lines, rows, strict=True) if stays]
        return Table(path=self.path, columns=columns, lines=lines)


def read(path: Path, separator: str = "auto") -> Table:
    """Read a table: BadData when it is not UTF-8, empty, ragged, or its first line names no columns."""
    text = read_text(path)
    if not text.strip():
        raise BadData(f"{path} is empty.", "The file needs a line of column names, and rows below it.")
    mark = _detect_separator(path, text, separator)
    reader = csv.reader(io.StringIO(text), delimiter=mark, skipinitialspace=mark != " ")
    rows: list[list[str]] = []
    lines: list[int] = []
    line = 1
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                rows.append([cell.strip() for cell in row])
                lines.append(line)
            line = reader.line_num + 1
    except csv.Error as error:
        raise BadData(f"{path}, line {reader.line_num}: {error}.", "Is a quotation mark missing?") from None
    header = _header(path, rows[0], mark)
    _check_widths(path, rows, lines)
    if len(rows) == 1:
        raise BadData(f"{path} has column names but no rows.")
    cells = [list(column) for column in zip(*rows[1:], strict=True)]
    return Table(path=path, columns=dict(zip(header, cells, strict=True)), lines=lines[1:])


def _detect_separator(path: Path, text: str, separator: str) -> str:
    """Return the separator: the one that splits the first rows into the most columns, equally many in each."""
    named = {"tab": "\t", "\\t": "\t"}.get(separator, separator)
    if named != "auto":
        if len(named) != 1 or named in '"\n':
            raise BadUsage(f"separator must be one character, not {separator!r}.", "Or auto, or tab.")
        return named
    widths = {mark: _widths(text, mark) for mark in SEPARATORS}
    even = [mark for mark in SEPARATORS if len(set(widths[mark])) == 1]
    best = max(even or SEPARATORS, key=lambda mark: widths[mark][0])
    if widths[best][0] < 2:
        best = max(SEPARATORS, key=lambda mark: widths[mark][0])
    if widths[best][0] < 2:
        raise BadData(f"{path} has one column.", "Name the separator: --set source.separator=CHARACTER.")
    return best


def _widths(text: str, mark: str) -> list[int]:
    widths: list[int] = []
    try:
        for row in csv.reader(io.StringIO(text), delimiter=mark, skipinitialspace=True):
            if any(cell.strip() for cell in row):
                widths.append(len(row))
            if len(widths) == 50:
                break
    except csv.Error:
        pass  # reported with its line when the file is read
    return widths or [0]


def _header(path: Path, names: list[str], mark: str) -> list[str]:
    if all(is_number(name) for name in names):
        raise BadData(f"{path}: the first line holds numbers, not names.", "Add a line with the column names.")
    for i, name in enumerate(names, 1):
        if not name:
            raise BadData(f"{path}: column {i} of {len(names)} has no name.", "Name it in the first line.")
        if names.index(name) != i - 1:
            raise BadData(f"{path}: two columns have the name {name!r}.", "Rename one of them.")
    return names


def _check_widths(path: Path, rows: list[list[str]], lines: list[int]) -> None:
    width = len(rows[0])
    ragged = [(line, len(row)) for line, row in zip(lines, rows, strict=True) if len(row) != width]
    if ragged:
        shown = shortened((f"line {line} has {n}" for line, n in ragged), len(ragged))
        raise BadData(
            f"{path}: there are {width} columns, but {shown}.",
            "Is a cell with a separator in it missing its quotation marks?",
        )


def is_missing(cell: str) -> bool:
    """Whether a cell stands for a missing value."""
    return cell.casefold() in MISSING


def is_number(cell: str) -> bool:
    """Whether a cell is a number; infinity is one."""
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell  # float() accepts 1_000, other parsers don't


def numbers(cells: Sequence[str]) -> Numbers | None:
    """Parse a column of numbers, NaN where missing; None if a cell is other text."""
    out = np.empty(len(cells))
    for i, cell in enumerate(cells):
        if is_missing(cell):
            out[i] = math.nan
        elif is_number(cell):
            out[i] = float(cell)
        else:
            return None
    return out


def same_numbers(values: Numbers) -> list[str]:
    """Return texts that are equal for numbers equal in float32; 0 and -0 are equal."""
    with np.errstate(over="ignore"):
        return [str(value) for value in values.astype(np.float32) + np.float32(0)]


def same_cells(cells: Sequence[str]) -> list[str]:
    """Return cells in a canonical form: 7, 7.0 and 7.00 are equal."""
    return [
        same_numbers(np.array([float(cell)]))[0].removesuffix(".0") if is_number(cell) else cell for cell in cells
    ]


def has_comma(cells: Sequence[str]) -> bool:
    """Whether all cells that are not missing are numbers, some of them with a decimal comma."""
    present = [cell for cell in cells if not is_missing(cell)]
    return any("," in cell for cell in present) and all(re.fullmatch(r"[+-]?\d+(,\d+)?", cell) for cell in present)


def non_numeric_cells(table: Table, name: str) -> str:
    """Describe the cells that keep a mostly numeric column from being one of numbers; "" for other columns."""
    present = [
        (line, cell)
        for line, cell in zip(table.lines, table.columns[name], strict=True)
        if not is_missing(cell)
    ]  # fmt: skip
    meant = sum(is_number(cell.removesuffix("%").replace(",", ".", 1)) for _, cell in present)
    wrong = [(line, cell) for line, cell in present if not is_number(cell)]
    if not wrong or meant < MOSTLY * len(present):
        return ""
    return f"{len(wrong):,} of {len(present):,} cells are not numbers (line {wrong[0][0]}: {wrong[0][1]!r})"


def check_typos(table: Table, name: str, what: str, remedy: str) -> None:
    """Raise BadData that names the cells when all of a column but a few are numbers: those are mistakes.

    Args:
        what: what the column is, for the message.
        remedy: what else can be done, next to correcting the cells.
    """
    cells = table.columns[name]
    wrong = [i for i, cell in enumerate(cells) if not is_missing(cell) and not is_number(cell)]
    present = sum(not is_missing(cell) for cell in cells)
    if 0 < len(wrong) <= min(TYPOS, TYPO_SHARE * present):
        shown = shortened((f"line {table.lines[i]} ({cells[i]!r})" for i in wrong), len(wrong))
        are = "is" if len(wrong) == 1 else "are"
        raise BadData(
            f"{table.path}: {what} {name!r} holds numbers, but {len(wrong)} of {present:,} cells {are} not a number: "
            f"{shown}.",
            f"Correct {'it' if len(wrong) == 1 else 'them'}{remedy}.",
        )


def float32_collisions(values: Numbers) -> str:
    """Describe distinct values that collide in float32, the models' dtype; "" if few do."""
    ordered = np.sort(values[~np.isnan(values)])
    different, left = (1 + np.count_nonzero(np.diff(x)) for x in (ordered, ordered.astype(np.float32)))
    if left >= MOSTLY * different:
        return ""
    return f"{different:,} distinct values become {left:,}"


def check_finite(table: Table, name: str, values: Numbers) -> None:
    """Raise BadData that names the lines where a number is infinite or too large for float32."""
    with np.errstate(invalid="ignore"):
        wrong = np.flatnonzero(np.abs(values) > float(np.finfo(np.float32).max))
    if len(wrong):
        shown = shortened((f"line {table.lines[i]} ({table.columns[name][i]})" for i in wrong), len(wrong))
        raise BadData(
            f"{table.path}: column {name!r} is not finite in {shown}.",
            "Correct the cells, or leave them empty: missing values are allowed.",
        )


def times(table: Table, name: str) -> np.ndarray[Any, np.dtype[Any]]:
    """Return sortable times of a column of numbers or ISO 8601 dates."""
    cells = table.columns[name]
    absent = [line for line, cell in zip(table.lines, cells, strict=True) if is_missing(cell)]
    if absent:
        raise BadData(f"{table.path}: the time {name!r} is missing in line {shortened(absent, len(absent))}.")
    values = numbers(cells)
    if values is not None:
        check_finite(table, name, values)
        return values
    moments = []
    for line, cell in zip(table.lines, cells, strict=True):
        try:
            moment = datetime.fromisoformat(cell)
        except ValueError:
            raise BadData(
                f"{table.path}: the time {name!r} is {cell!r} in line {line}.",
                "Write times as numbers or like 2024-12-31 or 2024-12-31T23:59:00.",
            ) from None
        zone = moment.utcoffset()
        moments.append(np.datetime64(moment.replace(tzinfo=None) - zone if zone else moment.replace(tzinfo=None)))
    return np.array(moments, "datetime64[us]")
