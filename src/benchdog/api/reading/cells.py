"""Cells: which words mean a missing value, what is a number, which spellings are one category.

Sources and the decode operation `row` read cells by these functions, so that a cell has one value in training and in
prediction, whether it comes from a file, from JSON or from Python.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Final

NA_WORDS: Final = (
    "na", "n/a", "n.a.", "nan", "-nan", "+nan", "null", "none", "nil", "?", "-", "--", ".", "..",
    "#n/a", "#na", "#n/a n/a", "#div/0!", "#value!", "#ref!", "#num!", "#name?", "#null!", "<na>", "nat", "\\n",
    "1.#ind", "-1.#ind", "1.#qnan", "-1.#qnan", "(null)",
)  # fmt: skip
"""Words for a missing value, in lower case: those of pandas, R, SAS, Stata, SQL and spreadsheets."""
_PLAIN: Final = re.compile(r"([+-]?)(0|[1-9][0-9]*)?(?:\.([0-9]*))?")
_PRINTED: Final = re.compile(r"[+-]?[0-9](?:\.[0-9]+)?[eE][+-][0-9]{2}")
"""A number as C and Python print it, 1.5e+03; a code such as 1E5 is not one."""
LARGEST_EXPONENT: Final = 18
BOOLEANS: Final = {"false": 0.0, "true": 1.0}


def number(cell: str) -> float | None:
    """Return a cell's number, which may be infinite; None for other text."""
    try:
        value = float(cell)
    except ValueError:
        return None
    # float() accepts 1_000 and nan, other parsers don't.
    return None if value != value or "_" in cell else value


def is_number(cell: str) -> bool:
    """Whether a cell is a number; infinity is one."""
    return number(cell) is not None


def spelling(cell: str) -> str:
    """Return the one spelling of a category or class: 7, +7, 7.0 and 7.00 are 7; composed characters (NFC).

    Codes keep theirs: a number with leading zeros, or with an exponent unless it is written as programs do (1e+03).
    """
    cell = cell if cell.isascii() else unicodedata.normalize("NFC", cell)
    if not cell or cell[-1] not in "0123456789.":
        return cell
    return _decimal(cell) if _PLAIN.fullmatch(cell) else printed(cell)


def printed(cell: str) -> str:
    """Write a number with an exponent, as programs print it, without one; other cells are returned as they are."""
    if not _PRINTED.fullmatch(cell) or abs(int(cell[-3:])) > LARGEST_EXPONENT:
        return cell
    return _decimal(format(Decimal(cell), "f"))


def _decimal(cell: str) -> str:
    """Return a decimal number without plus sign and trailing zeros; "." and the like are returned as they are."""
    found = _PLAIN.fullmatch(cell)
    if found is None or not (found[2] or found[3]):
        return cell
    fraction = (found[3] or "").rstrip("0")
    whole = found[2] or "0"
    sign = "-" if found[1] == "-" and (whole != "0" or fraction) else ""
    return f"{sign}{whole}.{fraction}" if fraction else f"{sign}{whole}"


def category_key(cell: str) -> str:
    """Return what is equal for equal categories: the spelling; true and false in lower case."""
    word = spelling(cell)
    lower = word.casefold()
    return lower if lower in BOOLEANS else word


class MissingWords:
    """The words that mean a missing value, in any case; an empty cell always does. `cell in words` tests one.

    Attributes:
        listed: the words in lower case, "" first.
        named: whether they are other words than the usual ones.
    """

    def __init__(self, words: Iterable[str] = NA_WORDS) -> None:
        self.listed = tuple(dict.fromkeys(["", *(str(word).strip().casefold() for word in words)]))
        self.named = self.listed != ("", *NA_WORDS)
        self._words = frozenset(self.listed)
        self._numbers = {spelling(word): value for word in self.listed if (value := number(word)) is not None}

    def __contains__(self, cell: object) -> bool:
        if not isinstance(cell, str):  # a number that comes from Python or JSON
            return not isinstance(cell, bool) and cell in self._numbers.values()
        return cell.casefold() in self._words or bool(self._numbers and spelling(cell) in self._numbers)

    @property
    def numeric(self) -> bool:
        """Whether a word is a number, such as -999."""
        return bool(self._numbers)


MISSING: Final = MissingWords()
AMBIGUOUS_NA: Final = MissingWords(word for word in NA_WORDS if word not in ("none", "nil", "-", "--", ".", ".."))
"""Words that usually mean a missing value, but can be a class: NA is North America, too."""


def numbers(cells: Sequence[str], missing: MissingWords = MISSING) -> list[float] | None:
    """Parse a column of numbers, NaN where missing; None if a cell is other text."""
    out = []
    for cell in cells:
        value = None if missing.numeric and cell in missing else number(cell)
        if value is None:
            if cell not in missing:
                return None
            value = math.nan
        out.append(value)
    return out


def shown(value: object, most: int = 40) -> str:
    """Return a value for a message, shortened: repr, which fails for integers of thousands of digits."""
    try:
        text = repr(value if not isinstance(value, str) else value[: 2 * most])
    except ValueError:
        return "an integer of thousands of digits"
    if len(text) <= most + 2 and not (isinstance(value, str) and len(value) > 2 * most):
        return text
    return f"{text[:most]}...{text[:1] if isinstance(value, str) else ''}"
