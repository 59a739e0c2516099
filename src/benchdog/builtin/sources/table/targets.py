"""Target columns of a table: classes, labels or numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchdog.api import BadData, BadUsage, Target
from benchdog.builtin.sources.messages import natural_key, shortened
from benchdog.builtin.sources.options import CsvOptions
from benchdog.builtin.sources.table.reader import (
    ABSENT,
    MAX_CATEGORIES,
    MISSING,
    Numbers,
    Table,
    check_finite,
    check_typos,
    float32_collisions,
    has_comma,
    non_numeric_cells,
    numbers,
)

Array = np.ndarray[Any, np.dtype[Any]]
MOST_INTEGERS = 20
"""A target of more different whole numbers is a number for kind = auto."""
MOST_CLASSES = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class TargetColumns:
    """The targets of all rows: codes (rows,), numbers (rows,) or (rows, columns), labels (rows, columns)."""

    values: Array
    target: Target

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes of codes; () for anything else."""
        return self.target.classes if self.target.kind == "class" else ()

    def groups(self) -> Array:
        """Return what splits are stratified by: the class, the rarest label that applies (-1: none), or zeros."""
        if self.target.kind == "labels":
            rarity = self.values / np.maximum(self.values.sum(0), 1)
            return np.where(self.values.any(1), rarity.argmax(1), -1)
        return self.values if self.classes else np.zeros(len(self.values), np.int64)


def with_targets(table: Table, names: Sequence[str], options: CsvOptions, notes: list[str]) -> Table:
    """Drop rows with a missing target, or raise BadData (option target_missing)."""
    for name in names:
        table = _with_target(table, name, options, notes)
    return table


def _with_target(table: Table, name: str, options: CsvOptions, notes: list[str]) -> Table:
    cells = table.columns[name]
    words = ABSENT if options.kind == "class" or numbers(cells) is None else MISSING
    gone = [cell.casefold() in words for cell in cells]
    absent = [line for line, is_gone in zip(table.lines, gone, strict=True) if is_gone]
    if not absent:
        return table
    if options.target_missing == "refuse":
        raise BadData(
            f"{table.path}: the target {name!r} is missing in {len(absent):,} of {len(cells):,} "
            f"rows: line {shortened(absent, len(absent))}.",
            'Fill it in, or leave those rows out: --set source.target_missing="drop".',
        )
    if len(absent) == len(cells):
        raise BadData(f"{table.path}: no row has a target {name!r}.")
    notes.append(f"{len(absent):,} rows without a target are dropped.")
    return table.keep([not is_gone for is_gone in gone])


def read_targets(table: Table, names: Sequence[str], options: CsvOptions, notes: list[str]) -> TargetColumns:
    """Read one column as a class or a number, several as labels or numbers.

    Raises:
        BadData: cells are not what they must be; names their lines.
        BadUsage: several columns are to be classes.
    """
    if len(names) > 1 or options.kind == "labels":
        return _several(table, names, options, notes)
    (name,) = names
    values, classes = _single(table, name, options, notes)
    if classes:
        return TargetColumns(values=values, target=Target(kind="class", name=name, classes=classes))
    return TargetColumns(values=values, target=Target(kind="number", name=name, dtype="float32"))


def _several(table: Table, names: Sequence[str], options: CsvOptions, notes: list[str]) -> TargetColumns:
    """Read columns of numbers; where all are 0 or 1 they are labels, unless the option says otherwise."""
    if options.kind == "class":
        raise BadUsage(
            f"{len(names)} targets can't be one class.", 'Use one target, or kind = "labels" for columns of 0 and 1.'
        )
    columns = [_numbers(table, name) for name in names]
    odd = [name for name, values in zip(names, columns, strict=True) if not np.isin(values, (0, 1)).all()]
    kind = options.kind
    if kind == "auto":
        kind = "number" if odd else "labels"
        if not odd:
            text = ", ".join(map(repr, names))
            notes.append(f'{text} are 0 or 1 and treated as labels; for regression: --set source.kind="number".')
    if kind == "labels" and odd:
        wrong = np.flatnonzero(~np.isin(columns[names.index(odd[0])], (0, 1)))
        lines = shortened((table.lines[row] for row in wrong), len(wrong))
        raise BadData(
            f"{table.path}: the label {odd[0]!r} is neither 0 nor 1 in line {lines}.",
            'Correct the cells; for numbers: --set source.kind="number".',
        )
    if kind == "number":
        notes += [
            _coarse(name, values) for name, values in zip(names, columns, strict=True) if float32_collisions(values)
        ]
    else:
        for name, values in zip(names, columns, strict=True):
            if len(np.unique(values)) < 2:
                raise BadData(f"{table.path}: the label {name!r} is {values[0]:.0f} in every row.", "Leave it out.")
    target = Target(kind=kind, name=", ".join(names), classes=tuple(names), shape=(len(names),), dtype="float32")
    return TargetColumns(values=np.stack(columns, 1).astype(np.float32), target=target)


def _numbers(table: Table, name: str) -> Numbers:
    """Read a target that must be numbers."""
    values = numbers(table.columns[name])
    if values is None:
        cells = table.columns[name]
        wrong = [f"{line} ({cell})" for line, cell in zip(table.lines, cells, strict=True) if numbers([cell]) is None]
        raise BadData(
            f"{table.path}: the target {name!r} is not a number in line {shortened(wrong, len(wrong))}.",
            "Correct the cells, empty them and add --set source.target_missing=drop, or: --set source.kind=class.",
        )
    check_finite(table, name, values)
    return values


def _coarse(name: str, values: Numbers) -> str:
    return f"{name!r} has values that float32 can't distinguish ({float32_collisions(values)}): subtract an offset."


def _single(table: Table, name: str, options: CsvOptions, notes: list[str]) -> tuple[Array, tuple[str, ...]]:
    """Return float32 numbers and (), or int64 class indices and the classes in order."""
    cells, kind = table.columns[name], options.kind
    values = _numbers(table, name) if kind == "number" else numbers(cells)
    if values is not None and np.isnan(values).any():  # kind = class, and a class is called none
        values = None
    if kind == "auto" and values is None and has_comma(cells):
        raise BadData(
            f"{table.path}: the target {name!r} has a decimal comma: {non_numeric_cells(table, name)}.",
            'Write numbers with a point; if they are classes: --set source.kind="class".',
        )
    if values is not None:
        check_finite(table, name, values)
        whole = bool((values == np.round(values)).all())
        different = len(np.unique(values))
        many = not whole or different > min(MOST_INTEGERS, len(values) // 3)
        if kind == "number" or (kind == "auto" and many):
            if float32_collisions(values):
                notes.append(_coarse(name, values))
            return values.astype(np.float32), ()
        if kind == "auto" and different > 2:
            notes.append(
                f"{name!r} has {different} distinct integers and is treated as classes; for regression: "
                '--set source.kind="number"'
            )
        as_text = np.abs(values).max() >= 2**53 or any(re.match(r"[+-]?0\d", cell) for cell in cells)
        cells = [f"{value + 0:.0f}" for value in values] if whole and not as_text else cells  # + 0: no "-0"
    elif kind == "auto" and (odd := non_numeric_cells(table, name)):
        notes.append(f"{name!r} is treated as classes: {odd}.")
    if kind == "auto" and values is None and len(set(cells)) > min(MAX_CATEGORIES, len(cells) // 2):
        check_typos(table, name, "the target", ', or empty it and add: --set source.target_missing="drop"')
    classes = sorted(set(cells), key=natural_key if values is None else lambda cell: (float(cell), cell))
    if not 2 <= len(classes) <= MOST_CLASSES or (values is None and len(classes) > len(cells) // 2):
        raise BadData(
            f"{table.path}: the target {name!r} has {len(classes):,} different values in "
            f"{len(cells):,} rows: too many for classes.",
            "Choose another target column.",
        )
    codes = {name: code for code, name in enumerate(classes)}
    return np.array([codes[cell] for cell in cells], np.int64), tuple(classes)
