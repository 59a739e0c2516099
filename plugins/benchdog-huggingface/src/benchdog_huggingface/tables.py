"""Columns of a table: what is a number or a category, and what is left out or read as missing."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from benchdog.api import (
    BadData,
    Column,
    MissingWords,
    category_key,
    is_number,
    json_text,
    natural_key,
    shortlist,
    spelling,
)
from benchdog_huggingface.columns import Array, Chosen, arrow_column, kind_of
from benchdog_huggingface.options import DataOptions
from benchdog_huggingface.rows import Part

MOST_CATEGORIES = 100
"""Texts of a table's column in more kinds than this are not categories."""
MOST_WORDS, MOST_CODES = 20, 20
"""A column with more different numbers than the second is one of numbers, if it has at most so many other words."""
INDEX = "__index_level_"
"""How the names of columns begin in which pandas keeps a data frame's index."""
LOOKED_AT = 200
"""Number of texts that decide whether a column holds texts or numbers."""
NUMBER_LIKE = r"[<>=~]*\s*[+-]?[$€£¥]?[0-9][0-9.,' ]*([eE][+-]?[0-9]+)?\s*[%$€£¥]?"
KEPT = 0.8
"""Share of a column's distinct numbers that float32 must distinguish."""


@dataclass(slots=True)
class TableColumns:
    """The columns that a model reads.

    Attributes:
        columns: their description, by the training split.
        words: the classes of columns that hold their codes.
        booleans: columns of true and false.
        absent: columns of numbers with missing values in the training split.
    """

    columns: list[Column] = field(default_factory=list)
    words: dict[str, list[str]] = field(default_factory=dict)
    booleans: list[str] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)


def usable(
    chosen: Chosen, features: Mapping[str, Any], data: Mapping[str, Any], options: DataOptions, notes: list[str]
) -> Chosen:
    """Drop columns that are neither numeric nor categorical: names, order numbers, comments, an index.

    Raises:
        BadData: none is left, a number is not finite, or words stand among numbers.
    """
    missing = MissingWords(options.na_values)
    named = isinstance(options.input, tuple) or bool(options.input)
    index = [name for name in chosen.inputs if name.startswith(INDEX) and not named]
    odd: dict[str, str] = {}
    for name in chosen.inputs:
        if kind_of(features[name]) == "number":
            _check_numbers(name, data, notes)
        elif kind_of(features[name]) == "text":
            texts = _texts(name, data, missing)
            _check_words(name, texts, options, notes)
            kinds = {category_key(text) for text in texts}
            if not kinds or len(kinds) > min(MOST_CATEGORIES, max(2, sum(map(len, data.values())) // 2)):
                odd[name] = f"{name} ({min(texts)[:40]!r})" if texts else name
    if odd:
        notes.append(f"Columns of too many different texts, left out: {', '.join(odd.values())}.")
    if index:
        notes.append(f"The index of pandas, left out: {', '.join(index)}.")
    kept = tuple(name for name in chosen.inputs if name not in {*odd, *index})
    if not kept:
        raise BadData(
            "There is no column of numbers or categories to learn from.",
            f"To learn from a text: --set source.input={next(iter(odd))}" if odd else "",
        )
    return replace(chosen, inputs=kept)


def described(chosen: Chosen, features: Mapping[str, Any], train: Part, missing: MissingWords) -> TableColumns:
    """Describe columns by the training split: what is a number, what a category, what may be missing.

    Args:
        features: as the training split declares them; the columns of `train` may have a wider type.
        train: the rows that are trained on.
    """
    found = TableColumns()
    for name in chosen.inputs:
        kind = kind_of(features[name])
        if kind == "number":
            found.columns.append(Column(name=name))
            if train.data.features[name].dtype == "bool":
                found.booleans.append(name)
            if np.isnan(_numbers(train.data, name, missing)[train.at]).any():
                found.absent.append(name)
            continue
        if kind == "class":
            found.words[name] = words = [word.strip() for word in features[name].names]
            names = {category_key(word): word for word in reversed(words) if word not in missing}
            known = [word for word in words if names.get(category_key(word)) == word]
        else:
            texts = sorted(text for text in _counts(train.data, name, train.at) if text not in missing)
            names = {category_key(text): spelling(text) for text in reversed(texts)}
            known = sorted(names.values(), key=natural_key)
        found.columns.append(Column(name=name, kind="category", categories=tuple(known)))
    return found


def missing_note(
    chosen: Chosen,
    features: Mapping[str, Any],
    data: Mapping[str, Any],
    words: Mapping[str, Mapping[str, int]],
    missing: MissingWords,
) -> list[str]:
    """Return a note on the words in columns that are read as missing values; [] without any.

    Args:
        words: of columns of numbers that came as texts, how many cells are each word.
    """
    found = []
    for name in chosen.inputs:
        counts = Counter(words.get(name, {}))
        if kind_of(features[name]) == "text":
            for part in data.values():
                counts.update({cell: n for cell, n in _counts(part, name).items() if cell and cell in missing})
        if counts:
            common = ", ".join(repr(word) for word, _ in counts.most_common(3))
            found.append(f"{counts.total():,} cells of {name!r} ({common})")
    return [f"Read as missing: {shortlist(found)} (option na_values)."] if found else []


def _counts(part: Any, name: str, rows: Array | None = None) -> Counter[str]:
    """Count the different texts of a column, in all or some rows, stripped; missing cells are empty texts."""
    import pyarrow.compute as pc

    column = arrow_column(part, name).combine_chunks()
    counts = Counter[str]()
    for each in pc.value_counts(column if rows is None else column.take(rows)).to_pylist():
        counts[(each["values"] or "").strip()] += each["counts"]
    return counts


def _texts(name: str, data: Mapping[str, Any], missing: MissingWords) -> Counter[str]:
    """Count the different texts of a column in all splits, but for those that mean a missing value."""
    counts = Counter[str]()
    for part in data.values():
        counts.update(_counts(part, name))
    return Counter({text: count for text, count in counts.items() if text not in missing})


def _numbers(part: Any, name: str, missing: MissingWords) -> Array:
    """Return a column as (N,) float64, NaN where missing."""
    import pyarrow as pa

    column = arrow_column(part, name).cast(pa.float64(), safe=False)
    values = np.array(column.to_numpy(), np.float64)
    absent = [float(word) for word in missing.listed if is_number(word)]
    values[np.isin(values, absent)] = np.nan
    return values


def _check_numbers(name: str, data: Mapping[str, Any], notes: list[str]) -> None:
    """Refuse numbers that are infinite in float32; report those that float32 can't distinguish."""
    import pyarrow.compute as pc

    different = left = 0
    for split, part in data.items():
        values = _numbers(part, name, MissingWords(()))
        with np.errstate(over="ignore"):
            small = values.astype(np.float32)
        wrong = np.flatnonzero(np.isinf(small))
        if len(wrong):
            rows = (f"{split}[{row}] ({values[row]:g})" for row in wrong.tolist())
            raise BadData(
                f"Column {name!r} is not finite in {shortlist([*rows])}.",
                "Correct the cells, or leave them empty: missing values are allowed.",
            )
        different += pc.count_distinct(arrow_column(part, name)).as_py() - bool(np.isnan(values).any())
        left += len(np.unique(small[~np.isnan(small)]))
    if left < KEPT * different:
        notes.append(coarse(f"Column {name!r}", different, left))


def coarse(what: str, different: int, left: int) -> str:
    """Return the note on distinct numbers that are equal in float32."""
    return (
        f"{what} has values that float32 can't distinguish ({different:,} distinct values become {left:,}): subtract "
        "an offset."
    )


def _check_words(name: str, texts: Counter[str], options: DataOptions, notes: list[str]) -> None:
    """Refuse words in a column that holds numbers otherwise; report other mixtures."""
    words = Counter({text: count for text, count in texts.items() if not is_number(text)})
    different = {spelling(text) for text in texts if text not in words}
    numeric = texts.total() - words.total()
    if not words or not numeric:
        return
    shown = shortlist([repr(word[:40]) for word, _ in words.most_common()])
    if len(words) <= MOST_WORDS and len(different) > min(MOST_CODES, numeric // 3):
        more = json_text([word for word, _ in words.most_common(3)])
        drop = json_text([*options.drop, name])
        raise BadData(
            f"Column {name!r} holds numbers, but {words.total():,} of {texts.total():,} cells are not: {shown}.",
            f"Correct them, or --set 'source.drop={drop}'. Words for missing values: --set 'source.na_values={more}'",
        )
    notes.append(
        f"Column {name!r}: {words.total():,} of {texts.total():,} cells are not numbers ({shown}); it is treated as "
        "categorical."
    )


def refuse_numbers(name: str, part: Any, missing: MissingWords) -> None:
    """Refuse a column of texts that nobody named, and that looks like one of numbers: 1,000 or <5.

    Raises:
        BadData: all of its first texts do.
    """
    texts = [text.strip() for text in part.select_columns([name])[:LOOKED_AT][name] if text is not None]
    texts = [text for text in texts if text not in missing]
    if texts and all(re.fullmatch(NUMBER_LIKE, text) for text in texts):
        odd = next((text for text in texts if not is_number(text)), texts[0])
        raise BadData(
            f"The column {name!r} holds texts that look like numbers, such as {odd[:40]!r}.",
            "Write them as plain numbers; words for missing values: --set 'source.na_values=[\"WORD\"]'; to learn "
            f"from them as texts: --set source.input={name}",
        )
