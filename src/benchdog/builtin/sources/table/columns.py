"""Columns of a table: which hold numbers, and what keeps others from it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np

from benchdog.api import BadData, MissingWords, Table, category_key, is_number, json_text, shortlist, spelling
from benchdog.api import numbers as parsed_numbers

MOSTLY: Final = 0.8
"""A relation that holds in this share of values is taken to hold."""
MAX_CATEGORIES: Final = 100
"""A column of more different texts holds no categories."""
MOST_INTEGERS: Final = 20
"""More different numbers are no codes: a target of them is a number, a column of them is meant as one of numbers."""
MOST_WORDS: Final = 20
"""So many different texts among numbers, and no more, are typing errors or words for something else."""
Numbers = np.ndarray[Any, np.dtype[np.float64]]


def numbers(cells: Sequence[str], missing: MissingWords) -> Numbers | None:
    """Parse a column of numbers, NaN where missing; None if a cell is other text."""
    values = parsed_numbers(cells, missing)
    return None if values is None else np.array(values)


def category_names(cells: Iterable[str]) -> dict[str, str]:
    """Return the category of each different cell: equal ones have one name, in the first spelling in order."""
    names: dict[str, str] = {}
    different = sorted(set(cells))
    for cell in different:
        names.setdefault(category_key(cell), spelling(cell))
    return {cell: names[category_key(cell)] for cell in different}


def same_numbers(values: Numbers) -> list[str]:
    """Return texts that are equal for numbers equal in float32; 0 and -0 are equal."""
    with np.errstate(over="ignore"):
        return [str(value) for value in values.astype(np.float32) + np.float32(0)]


def same_cells(cells: Sequence[str]) -> list[str]:
    """Return cells in a canonical form: 7, 7.0 and 7.00 are equal."""
    different = {
        cell: same_numbers(np.array([float(cell)]))[0].removesuffix(".0") if is_number(cell) else spelling(cell)
        for cell in set(cells)
    }
    return [different[cell] for cell in cells]


# --- numbers written otherwise -------------------------------------------------------------------------

THOUSANDS: Final = r"[+-]?[0-9]{1,3}(,[0-9]{3})+(\.[0-9]+)?"
STYLES: Final = (
    (r"[+-]?([0-9]+|[0-9]{1,3}(\.[0-9]{3})+),[0-9]+", "a decimal comma", "use a decimal point"),
    (r"[+-]?[0-9]{1,3}([ '’\u00a0\u2009\u202f][0-9]{3})+([.,][0-9]+)?", "a thousands separator", "leave it out"),
    (r"[\u2212\u2013][0-9]+(\.[0-9]+)?", "a minus sign other than '-'", "use that"),
    (r"[+-]?[0-9]{1,3}(\.[0-9]{3}){2,}", "points as thousands separator", "leave them out"),
)
"""Forms of numbers that are not read, what they have, and what to do."""
SIGNS: Final = (
    (r"[+-]?[0-9]+([.,][0-9]+)?\s?%", "a percent sign", "leave it out"),
    (r"[+-]?[0-9]+([.,][0-9]+)?\s?[^\W\d_]{1,5}[²³]?", "a unit", "leave it out"),
    (r"[+-]?[$€£¥]\s?[+-]?[0-9][0-9.,]*|[+-]?[0-9][0-9.,]*\s?[$€£¥]", "a currency sign", "leave it out"),
)
"""The same for forms that are categories when there are few different ones, such as 10% and 20%."""


def number_style(cells: Iterable[str], missing: MissingWords) -> str:
    """Return what the numbers of a column have that isn't read, and what to do; "" for other columns.

    "2,202" may be 2202 or 2.202, unless another cell shows which.
    """
    odd = {cell for cell in cells if not is_number(cell) and cell not in missing}
    if not odd:
        return ""
    if all(re.fullmatch(THOUSANDS, cell) for cell in odd):
        example = min(odd)
        if any(cell.count(",") > 1 or "." in cell for cell in odd):
            return f"a thousands separator, as in {example!r}; leave it out"
        plain, point = example.replace(",", ""), example.replace(",", ".")
        return f"a thousands separator or a decimal comma, as in {example!r}; write {plain} or {point}"
    for form, what, remedy in STYLES + (SIGNS if len(odd) > MOST_INTEGERS else ()):
        if all(re.fullmatch(form, cell) for cell in odd):
            return f"{what}; {remedy}"
    return ""


# --- numbers and words ---------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Mixture:
    """A column of numbers and other texts.

    Attributes:
        cells: number of cells that aren't missing.
        different: number of different numbers.
        words: how often each other text occurs.
        first: the line of each text's first cell.
    """

    cells: int
    different: int
    words: Counter[str]
    first: dict[str, int]

    @property
    def numeric(self) -> int:
        """The number of cells that are numbers."""
        return self.cells - self.words.total()

    @property
    def of_numbers(self) -> bool:
        """Whether it is meant as a column of numbers: too many different ones for codes, and few words."""
        most = self.numeric // 3 if self.numeric >= self.words.total() else MOST_INTEGERS
        return len(self.words) <= MOST_WORDS and self.different > min(MOST_INTEGERS, most)

    def __str__(self) -> str:
        """Describe the smaller part."""
        word, line = next(iter(self.first.items()))
        if self.numeric >= self.words.total():
            return f"{self.words.total():,} of {self.cells:,} cells are not numbers (line {line}: {word!r})"
        return f"{self.numeric:,} of {self.cells:,} cells are numbers, the others texts (line {line}: {word!r})"


def mixture(table: Table, name: str, missing: MissingWords) -> Mixture | None:
    """Count the numbers and the other texts of a column; None where there are not both."""
    words, first, values = Counter[str](), dict[str, int](), set[str]()
    count = 0
    for line, cell in zip(table.lines, table.columns[name], strict=True):
        if cell in missing:
            continue
        count += 1
        if is_number(cell):
            values.add(spelling(cell))
        else:
            words[cell] += 1
            first.setdefault(cell, line)
    return Mixture(cells=count, different=len(values), words=words, first=first) if words and values else None


def refuse_words(table: Table, name: str, found: Mixture, what: str, missing: MissingWords, remedy: str) -> None:
    """Raise BadData that names the texts in a column of numbers.

    Args:
        table: for messages.
        name: of the column.
        found: what is in it.
        what: what the column is, for the message.
        missing: the words that mean a missing value.
        remedy: what else can be done, next to correcting the cells and naming words for missing values.
    """
    total, texts = found.words.total(), found.words
    often = {text: f", {count:,} times" if count > 1 else "" for text, count in texts.items()}
    items = (f"line {line} ({text[:40]!r}{often[text]})" for text, line in found.first.items())
    listed = shortlist(items)
    hint = f"Correct {'it' if total == 1 else 'them'}{remedy}."
    words = [word for word, count in texts.most_common(3) if count > 1 or not re.search("[0-9]", word)]
    if words:
        used = {cell.casefold() for cells in table.columns.values() for cell in cells if cell and cell in missing}
        option = json_text([*sorted(used), *words])
        hint += f" If {words[0]!r} means missing: --set 'source.na_values={option}'"
    raise BadData(
        f"{table.path}: {what} {name!r} holds numbers, but {total:,} of {found.cells:,} cells "
        f"{'is' if total == 1 else 'are'} not a number: {listed}.",
        hint,
    )


def missing_note(table: Table, names: Iterable[str], missing: MissingWords) -> list[str]:
    """Return a note on the words in some columns that are read as missing values; [] without any."""
    found = []
    for name in names:
        words = Counter(cell for cell in table.columns[name] if cell and cell in missing)
        if words:
            common = ", ".join(repr(word) for word, _ in words.most_common(3))
            found.append(f"{words.total():,} of {len(table.lines):,} cells of {name!r} ({common})")
    return [f"Read as missing: {shortlist(found)} (option na_values)."] if found else []


# --- numbers ---------------------------------------------------------------------------------------------


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
        shown = shortlist(f"line {table.lines[i]} ({table.columns[name][i][:40]})" for i in wrong)
        raise BadData(
            f"{table.path}: column {name!r} is not finite in {shown}.",
            "Correct the cells, or leave them empty: missing values are allowed.",
        )


def times(table: Table, name: str, missing: MissingWords) -> np.ndarray[Any, np.dtype[Any]]:
    """Return sortable times of a column of numbers or ISO 8601 dates."""
    cells = table.columns[name]
    absent = [line for line, cell in zip(table.lines, cells, strict=True) if cell in missing]
    if absent:
        raise BadData(f"{table.path}: the time {name!r} is missing in line {shortlist(absent)}.")
    values = numbers(cells, missing)
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
