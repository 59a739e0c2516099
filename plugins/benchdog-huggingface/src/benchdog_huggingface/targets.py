"""The column to predict: classes or numbers, and the rows that have a target at all."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchdog.api import BadData, BadUsage, Target
from benchdog_huggingface.columns import WHOLE_NUMBERS, Array, Chosen, arrow_column, kind_of, same_name
from benchdog_huggingface.dataset_files import training_split
from benchdog_huggingface.options import DataOptions

MOST_INTEGERS = 20
"""A target of more different whole numbers is a number for kind = auto."""
MOST_CLASSES = 1000
ABSENT = -1
"""The code of a row without a target."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Targets:
    """The target, and by split its values (N,) ready to stack, and which rows have one (N,) bool.

    Attributes:
        no_label: numbers that stand for a missing target.
    """

    target: Target
    values: Mapping[str, Array]
    there: Mapping[str, Array]
    no_label: Set[Any] = frozenset()


@dataclass(frozen=True, kw_only=True, slots=True)
class _Column:
    """A split's target column: the values that occur, and each row's position among them, ABSENT without one."""

    kinds: list[Any]
    codes: Array

    def counts(self) -> dict[Any, int]:
        """Return the number of rows of each value."""
        counts = np.bincount(self.codes[self.codes >= 0], minlength=len(self.kinds)).tolist()
        return dict(zip(self.kinds, counts, strict=True))

    def mapped(self, table: Mapping[Any, Any], otherwise: Any, dtype: str) -> Array:
        """Return (N,) what `table` has for each row's value."""
        found = np.array([*(table.get(value, otherwise) for value in self.kinds), otherwise], dtype)
        return found[self.codes]  # ABSENT is the last


def read_targets(
    splits: Mapping[str, Any], declared: Any, chosen: Chosen, options: DataOptions, notes: list[str]
) -> Targets:
    """Read the column to predict.

    Args:
        declared: its feature in the training split, where `splits` may have a wider type of number.

    Raises:
        BadUsage: it is not a number, and kind says number.
        BadData: it has one class, or too many.
    """
    name = chosen.target
    feature = next(iter(splits.values())).features[name]
    if kind_of(feature) == "text" and options.kind == "number":
        raise BadUsage(f"The column {name!r} holds texts, no numbers.", "Leave source.kind out.")
    by_name = kind_of(feature) == "class" and options.kind != "number"
    columns = {split: _column(part, name, feature.names if by_name else ()) for split, part in splits.items()}
    numbers = kind_of(feature) == "number" and options.kind != "class"
    no_label = _no_label(columns, options, name, notes) if numbers else set()
    classes = _same_names(feature.names) if by_name else _classes(declared, columns, no_label, options, name)
    if classes is None:
        return _numbers(columns, name, no_label)
    places = {value: code for code, value in enumerate(classes)}
    codes = {split: each.mapped(places, ABSENT, "int64") for split, each in columns.items()}
    return Targets(
        target=Target(kind="class", name=name, classes=tuple(map(_word, classes))),
        values=codes,
        there={split: each >= 0 for split, each in codes.items()},
        no_label=no_label,
    )


def _numbers(columns: Mapping[str, _Column], name: str, no_label: Set[Any]) -> Targets:
    numbers = {value: value for each in columns.values() for value in each.kinds if value not in no_label}
    values = {split: each.mapped(numbers, np.nan, "float32") for split, each in columns.items()}
    there = {split: np.isfinite(each) for split, each in values.items()}
    target = Target(kind="number", name=name, dtype="float32")
    return Targets(target=target, values=values, there=there, no_label=no_label)


def _column(split: Any, name: str, names: Sequence[str]) -> _Column:
    """Read a split's column; codes of class labels by their names."""
    import pyarrow.compute as pc

    encoded = arrow_column(split, name).combine_chunks().dictionary_encode()
    codes = pc.fill_null(encoded.indices, ABSENT).to_numpy(zero_copy_only=False).astype(np.int64)
    values = [_value(value, names, name) for value in encoded.dictionary.to_pylist()]
    kinds = list(dict.fromkeys(value for value in values if value is not None))
    place = {value: i for i, value in enumerate(kinds)}
    table = np.array([*(place.get(value, ABSENT) for value in values), ABSENT], np.int64)
    return _Column(kinds=kinds, codes=table[codes])


def _value(value: Any, names: Sequence[str], column: str) -> Any:
    """Return a target in the spelling by which it is compared; None for what stands for no target."""
    if names:
        if value >= len(names):
            raise BadData(f"{column!r} has the code {value}, but names for 0 to {len(names) - 1} alone.")
        return same_name(names[value]) if value >= 0 else None
    if isinstance(value, str):
        return same_name(value) or None
    return value if value == value else None


def _classes(
    declared: Any, columns: Mapping[str, _Column], no_label: Set[Any], options: DataOptions, name: str
) -> list[Any] | None:
    """List the values that are classes, in their order; None for a target that is a number."""
    kind = kind_of(declared)
    values = {value for column in columns.values() for value in column.kinds} - no_label
    if kind != "text" and options.kind != "class":
        whole = declared.dtype in (*WHOLE_NUMBERS, "bool") and all(value % 1 == 0 for value in values)
        if options.kind == "number" or not whole or len(values) > MOST_INTEGERS:
            return None
    total = sum(len(column.codes) for column in columns.values())
    if not 2 <= len(values) <= min(MOST_CLASSES, max(2, total // 2)):
        raise BadData(
            f"{name!r} has {len(values):,} different values in {total:,} rows: too many for classes.",
            "Choose another column: --set source.target=NAME",
        )
    return sorted(values, key=natural) if kind == "text" else sorted(values)


def _no_label(columns: Mapping[str, _Column], options: DataOptions, name: str, notes: list[str]) -> Set[Any]:
    """Return the numbers that stand for no label.

    A split whose numbers are all -1 (or -100, ...) has none, where training has nothing below 0; neither have rows
    of codes where the others are from 0 on. A -1 in the training split can be a class as well: it stands for no label
    only with missing = drop.
    """
    own = training_split(columns)
    training = columns[own].counts()
    labels = [value for value in training if value >= 0]
    negative = {value for column in columns.values() for value in column.kinds if value < 0}
    codes = options.kind == "auto" and all(isinstance(value, int) for value in {*labels, *negative})
    codes = codes and 2 <= len(labels) <= MOST_INTEGERS
    if not any(value in negative for value in training):
        below = [column.kinds for column in columns.values() if negative.intersection(column.kinds)]
        return negative if codes or all(len(kinds) == 1 and kinds[0] % 1 == 0 for kinds in below) else set()
    if not codes or negative != {ABSENT}:  # such as -1 and 1, or any numbers
        return set()
    if options.missing == "drop":
        return negative
    notes.append(
        f"{name!r} is -1 in {training[ABSENT]:,} training rows, taken as a class. If it stands for no label: --set "
        'source.missing="drop"; to confirm the class: --set source.kind="class"'
    )
    return set()


def _same_names(names: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(map(same_name, names)))


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def natural(word: str) -> tuple[list[str | int], str]:
    """Return a sort key by which 2 comes before 10."""
    parts = enumerate(re.split(r"([0-9]+)", word))
    return [int(part) if i % 2 else part.casefold() for i, part in parts], word
