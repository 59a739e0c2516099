"""The column to predict: classes or numbers, and the rows that have a target at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchdog.api import (
    AMBIGUOUS_NA,
    BadData,
    BadUsage,
    MissingWords,
    Target,
    class_names,
    class_spellings,
    spelling_notes,
)
from benchdog_huggingface.columns import WHOLE_NUMBERS, Array, Chosen, arrow_column, kind_of, same_name
from benchdog_huggingface.dataset_files import training_split
from benchdog_huggingface.options import DataOptions
from benchdog_huggingface.tables import KEPT, coarse

MOST_INTEGERS = 20
"""A target of more different whole numbers is a number for kind = auto."""
MOST_CLASSES = 1000
ABSENT = -1
"""The code of a row without a target."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Targets:
    """The target, and by split its values (N,) ready to stack, and which rows have one (N,) bool.

    Attributes:
        no_target: numbers and words in the column that stand for a missing target.
    """

    target: Target
    values: Mapping[str, Array]
    there: Mapping[str, Array]
    no_target: Set[Any] = frozenset()


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
    name, kind = chosen.target, kind_of(declared)
    if kind == "text" and options.kind == "number":
        raise BadUsage(f"The column {name!r} holds texts, no numbers.", "Leave source.kind out.")
    columns = {split: _column(part, name) for split, part in splits.items()}
    values = {value for column in columns.values() for value in column.kinds}
    if kind == "class" and options.kind != "number":
        return _of_labels(columns, next(iter(splits.values())).features[name].names, name)
    missing = _missing_words(options, kind)
    no_target = {value for value in values if (str(value).strip() if kind == "text" else str(value)) in missing}
    if kind == "text":
        spelled = class_spellings(word.strip() for word in values - no_target)
        notes += spelling_notes(spelled)
        _check_classes(set(spelled.values()), columns, name, {word.strip() for word in no_target} - {""})
        classes = list(class_names(spelled))
        names = {word: spelled[word.strip()] for word in values - no_target}
        return _of_classes(columns, classes, names, name, {word.strip() for word in no_target} - {""})
    if options.kind != "class":
        no_target |= _placeholders(columns, options, name, notes)
    numbers = values - no_target
    if options.kind != "class" and not _are_codes(numbers, declared, options.kind):
        return _numbers(columns, name, no_target, notes)
    _check_classes(numbers, columns, name, no_target)
    names = {value: _word(bool(value) if declared.dtype == "bool" else value) for value in sorted(numbers)}
    return _of_classes(columns, list(dict.fromkeys(names.values())), names, name, no_target)


def _column(split: Any, name: str) -> _Column:
    import pyarrow.compute as pc

    encoded = arrow_column(split, name).combine_chunks().dictionary_encode()
    codes = pc.fill_null(encoded.indices, ABSENT).to_numpy(zero_copy_only=False).astype(np.int64)
    values = encoded.dictionary.to_pylist()
    kinds = [value for value in values if value == value]  # without NaN
    table = np.full(len(values) + 1, ABSENT)
    table[[i for i, value in enumerate(values) if value == value]] = np.arange(len(kinds))
    return _Column(kinds=kinds, codes=table[codes])


def _missing_words(options: DataOptions, kind: str) -> MissingWords:
    """Return the words that mean a missing target: of classes those that the user named, or that are unsure."""
    words = MissingWords(options.na_values)
    if kind != "text":
        return words if words.numeric else MissingWords(())
    if words.named:
        return words
    return MissingWords(()) if options.kind == "class" else AMBIGUOUS_NA


def _of_labels(columns: Mapping[str, _Column], names: Sequence[str], name: str) -> Targets:
    """Return the targets of class labels, whose codes have names; below 0 there is none."""
    largest = max((code for column in columns.values() for code in column.kinds), default=0)
    if largest >= len(names):
        raise BadData(f"{name!r} has the code {largest}, but names for 0 to {len(names) - 1} alone.")
    spelled = {code: same_name(word) for code, word in enumerate(names)}
    return _of_classes(columns, list(dict.fromkeys(spelled.values())), spelled, name, set())


def _of_classes(
    columns: Mapping[str, _Column], classes: Sequence[str], names: Mapping[Any, str], name: str, no_target: Set[Any]
) -> Targets:
    """Return the targets of values that are classes, given the name of each."""
    places = {word: code for code, word in enumerate(classes)}
    table = {value: places[word] for value, word in names.items()}
    codes = {split: each.mapped(table, ABSENT, "int64") for split, each in columns.items()}
    return Targets(
        target=Target(kind="class", name=name, classes=tuple(classes)),
        values=codes,
        there={split: each >= 0 for split, each in codes.items()},
        no_target=no_target,
    )


def _numbers(columns: Mapping[str, _Column], name: str, no_target: Set[Any], notes: list[str]) -> Targets:
    numbers = {value: value for each in columns.values() for value in each.kinds if value not in no_target}
    with np.errstate(over="ignore"):
        values = {
            split: each.mapped(numbers, np.nan, "float64").astype(np.float32) for split, each in columns.items()
        }
    there = {split: np.isfinite(each) for split, each in values.items()}
    left = len(np.unique(np.concatenate([values[split][rows] for split, rows in there.items()])))
    if left < KEPT * len(numbers):
        notes.append(coarse(repr(name), len(numbers), left))
    target = Target(kind="number", name=name, dtype="float32")
    return Targets(target=target, values=values, there=there, no_target=no_target)


def _are_codes(values: Set[Any], declared: Any, kind: str) -> bool:
    """Whether numbers are taken as classes: up to MOST_INTEGERS whole ones, declared as such, or true and false."""
    whole = declared.dtype in (*WHOLE_NUMBERS, "bool") and all(value % 1 == 0 for value in values)
    return kind == "auto" and whole and len(values) <= MOST_INTEGERS


def _check_classes(values: Set[Any], columns: Mapping[str, _Column], name: str, no_target: Set[Any]) -> None:
    total = sum(len(column.codes) for column in columns.values())
    if not 2 <= len(values) <= min(MOST_CLASSES, max(2, total // 2)):
        why = "too many for classes" if len(values) > 1 else "classes need two"
        raise BadData(
            f"{name!r} has {len(values):,} different values in {total:,} rows: {why}.{_read_as_missing(no_target)}",
            "Choose another column: --set source.target=NAME",
        )


def _read_as_missing(no_target: Set[Any]) -> str:
    if not no_target:
        return ""
    words = sorted(map(str, no_target))
    return f" Read as missing: {', '.join(words[:5])}; if they are classes: --set source.kind=class."


def _placeholders(columns: Mapping[str, _Column], options: DataOptions, name: str, notes: list[str]) -> Set[Any]:
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


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
