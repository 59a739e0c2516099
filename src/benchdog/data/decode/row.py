"""The decode operation `row`: a table's row by column name becomes numbers and codes of categories."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from benchdog.api import MissingWords, category_key, number
from benchdog.api.reading.cells import BOOLEANS, shown
from benchdog.data.decode.errors import Array, DecodeError, Step
from benchdog.data.decode.options import RowOptions
from benchdog.errors import BadUsage

LARGEST: Final = float(np.finfo(np.float32).max)


def row(options: RowOptions) -> Step:
    """Build the step from a mapping to float32 (columns,): numbers (NaN missing) and codes 1..n (0 not)."""
    columns, canonical, booleans = options.columns, options.canonical, options.booleans
    if not columns:
        raise BadUsage("Decode operation 'row': columns must be a list of columns, not empty.")
    missing = MissingWords(options.missing)
    readers = [
        (name, _cell(column, canonical, name in booleans))
        for name, column in ((str(column.get("name", "")), column) for column in columns)
    ]
    names = [name for name, _ in readers]

    def step(value: Any) -> Array:
        if not isinstance(value, Mapping):
            raise DecodeError(f"a row must map columns to values, it is {type(value).__name__}")
        out = np.empty(len(readers), np.float32)
        for i, (name, read) in enumerate(readers):
            if name not in value:
                raise DecodeError(f"the row has no column {name!r} (it needs {', '.join(names)})")
            try:
                cell = plain_cell(value[name])
                gone = cell is None or ((canonical or isinstance(cell, str)) and cell in missing)
                out[i] = read(None if gone else cell)
            except DecodeError as wrong:
                raise DecodeError(f"column {name!r}: {wrong}") from None
        return out

    return step


def plain_cell(cell: Any) -> Any:
    """Return a cell as a stripped text, a number or a bool; None for None, NaN and the missing values of pandas.

    Raises:
        DecodeError: it is none of these, such as a list.
    """
    if isinstance(cell, str):
        return cell.strip()
    if isinstance(cell, np.ndarray) and cell.ndim == 0:
        cell = cell[()]
    if cell is None or type(cell).__name__ in ("NAType", "NaTType"):
        return None
    if isinstance(cell, bool | np.bool_):
        return bool(cell)
    if hasattr(cell, "__iter__"):
        raise DecodeError(f"{shown(cell)} is not a number or text")
    return None if cell != cell else cell


def cell_text(cell: Any) -> str:
    """Return how a cell is written in a file."""
    if isinstance(cell, str):
        return cell
    if isinstance(cell, bool):
        return str(cell).lower()
    try:
        return str(cell)
    except ValueError:  # an integer of thousands of digits
        raise DecodeError(f"{shown(cell)} is neither a number that fits nor a category") from None


def _cell(column: Mapping[str, Any], canonical: bool, boolean: bool) -> Callable[[Any], float]:
    extra = set(column) - {"name", "kind", "categories"}
    if extra:
        raise BadUsage(f"Decode operation 'row': columns must be of name, kind and categories, not {sorted(extra)}.")
    kind, categories = column.get("kind", "number"), column.get("categories", ())
    if kind not in ("number", "category"):
        raise BadUsage(f"Decode operation 'row': kind must be 'number' or 'category', not {kind!r}.")
    if kind == "number":
        return lambda cell: _number(cell, not canonical or boolean, boolean)
    if canonical:
        keys = {category_key(str(category)): i for i, category in enumerate(categories, 1)}
        return lambda cell: 0 if cell is None else keys.get(category_key(cell_text(cell)), 0)
    codes = {str(category): i for i, category in enumerate(categories, 1)}
    return lambda cell: 0 if cell is None else next((codes[text] for text in _texts(cell) if text in codes), 0)


def _number(cell: Any, takes_bool: bool, words: bool) -> float:
    """Return a number; `takes_bool`: true is 1; `words`: the text "true" is, too."""
    if cell is None:
        return math.nan
    if words and isinstance(cell, str) and cell.casefold() in BOOLEANS:
        return BOOLEANS[cell.casefold()]
    value: float | None = None
    if isinstance(cell, str):
        value = number(cell)
    elif takes_bool or not isinstance(cell, bool):
        try:
            value = float(cell)
        except OverflowError:
            value = math.inf
        except (TypeError, ValueError):
            value = None
    if value is None:
        raise DecodeError(f"{shown(cell)} is not a number")
    if not abs(value) <= LARGEST:
        raise DecodeError(f"{shown(cell)} is not a finite number")
    return value


def _texts(cell: Any) -> tuple[str, ...]:
    """Return the spellings of a category in tables: 3.0, which JSON may make of 3, is "3"; true is also "TRUE"."""
    if isinstance(cell, bool):
        text = str(cell)
        return text.lower(), text, text.upper()
    whole = isinstance(cell, float | np.floating) and cell.is_integer()
    return (str(int(cell)) if whole else cell_text(cell),)
