"""Target columns of a table: classes, labels or numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from benchdog.api import (
    AMBIGUOUS_NA,
    NA_WORDS,
    BadData,
    BadUsage,
    MissingWords,
    SampleCounts,
    Table,
    Target,
    class_names,
    class_spellings,
    is_number,
    shortlist,
    spelling_notes,
)
from benchdog.builtin.sources.options import CsvOptions, TextOptions
from benchdog.builtin.sources.table.columns import (
    MAX_CATEGORIES,
    MOST_INTEGERS,
    Numbers,
    check_finite,
    float32_collisions,
    mixture,
    number_style,
    numbers,
    refuse_words,
)

Array = np.ndarray[Any, np.dtype[Any]]
MOST_CLASSES = 1000
NO_WORDS = MissingWords(())
ABSENT = "without a target"


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


def with_targets(
    table: Table, names: Sequence[str], options: CsvOptions | TextOptions, notes: list[str]
) -> tuple[Table, Table | None]:
    """Take rows with a missing target out, or raise BadData (option target_missing).

    Returns:
        The rows with a target, and those without that are kept as the split unlabeled, None without any.
    """
    whole = table
    for name in names:
        table = _with_target(table, name, options, notes)
    if options.target_missing != "unlabeled" or len(table.lines) == len(whole.lines):
        return table, None
    kept = set(table.lines)
    bare = whole.keep([line not in kept for line in whole.lines], "with a target")
    return replace(table, skipped={k: n for k, n in table.skipped.items() if k != ABSENT}), bare


def counted(table: Table, bare: Table | None) -> SampleCounts:
    """Return the counts of rows, those of the split unlabeled among the used ones."""
    more = 0 if bare is None else len(bare.lines)
    counts = table.counts
    return replace(counts, found=counts.found + more, used=counts.used + more)


def _with_target(table: Table, name: str, options: CsvOptions | TextOptions, notes: list[str]) -> Table:
    cells = table.columns[name]
    words = _missing_targets(cells, options)
    gone = [not cell or cell in words for cell in cells]
    absent = [line for line, is_gone in zip(table.lines, gone, strict=True) if is_gone]
    if not absent:
        return table
    said = Counter(cell for cell, is_gone in zip(cells, gone, strict=True) if cell and is_gone)
    read = ", ".join(f"{word!r} ({count:,})" for word, count in said.most_common(3))
    if options.target_missing == "refuse":
        also = f" These words are read as missing: {read}." if read else ""
        hint = 'Fill it in, or leave those rows out: --set source.target_missing="drop".'
        if read and options.kind in ("auto", "class"):
            hint += f' If {next(iter(said))} is a class: --set source.kind="class"' + (
                " without it in source.na_values." if options.na_values != NA_WORDS else "."
            )
        raise BadData(
            f"{table.path}: the target {name!r} is missing in {len(absent):,} of {len(cells):,} "
            f"rows: line {shortlist(absent)}.{also}",
            hint,
        )
    if len(absent) == len(cells):
        raise BadData(f"{table.path}: no row has a target {name!r}.")
    what = "dropped" if options.target_missing == "drop" else "the split unlabeled"
    notes.append(f"{len(absent):,} rows without a target are {what}{f': {read}' if read else ''}.")
    return table.keep([not is_gone for is_gone in gone], ABSENT)


def _missing_targets(cells: Sequence[str], options: CsvOptions | TextOptions) -> MissingWords:
    """Return the words that mean a missing target: among classes those that the user named, or that are unsure."""
    words = MissingWords(options.na_values)
    if words.named or options.kind in ("number", "labels"):
        return words
    if options.kind == "class":
        return NO_WORDS
    return AMBIGUOUS_NA if numbers(cells, words) is None else words


def read_targets(table: Table, names: Sequence[str], options: CsvOptions, notes: list[str]) -> TargetColumns:
    """Read one column as a class or a number, several as labels or numbers.

    Raises:
        BadData: cells are not what they must be; names their lines.
        BadUsage: several columns are to be classes.
    """
    if len(names) > 1 or options.kind == "labels":
        return _several(table, names, options, notes)
    (name,) = names
    values, classes = read_target(table, name, options.kind, MissingWords(options.na_values), notes)
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
        lines = shortlist(table.lines[row] for row in wrong)
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
    values = numbers(table.columns[name], NO_WORDS)
    if values is None:
        cells = table.columns[name]
        wrong = [
            f"{line} ({cell[:40]})" for line, cell in zip(table.lines, cells, strict=True) if not is_number(cell)
        ]
        raise BadData(
            f"{table.path}: the target {name!r} is not a number in line {shortlist(wrong)}.",
            "Correct the cells, empty them and add --set source.target_missing=drop, or: --set source.kind=class.",
        )
    check_finite(table, name, values)
    return values


def _coarse(name: str, values: Numbers) -> str:
    return f"{name!r} has values that float32 can't distinguish ({float32_collisions(values)}): subtract an offset."


def read_target(
    table: Table, name: str, kind: str, missing: MissingWords, notes: list[str]
) -> tuple[Array, tuple[str, ...]]:
    """Return float32 numbers and (), or int64 class indices and the classes in order.

    Args:
        table: its rows have a target, see `with_targets`.
        name: the column.
        kind: class, number or auto.
        missing: words to name next to those of other columns.
        notes: receives notes for the user.

    Raises:
        BadData: cells are not numbers, or there are too many classes, or only one.
    """
    cells = table.columns[name]
    values = _numbers(table, name) if kind == "number" else numbers(cells, NO_WORDS)
    if kind == "auto" and values is None:
        _check_texts(table, name, missing, notes)
    if values is not None:
        check_finite(table, name, values)
        whole = bool((values == np.round(values)).all())
        different = len(np.unique(values))
        many = not whole or different > min(MOST_INTEGERS, len(values) // 3)
        if kind == "number" or (kind == "auto" and many):
            if float32_collisions(values):
                notes.append(_coarse(name, values))
            if kind == "auto" and whole and 2 <= different <= min(MAX_CATEGORIES, len(cells) // 2):
                notes.append(
                    f"{name!r} has {different} distinct integers in {len(cells):,} rows and is treated as a number; "
                    'for classes: --set source.kind="class"'
                )
            return values.astype(np.float32), ()
        if kind == "auto" and different > 2:
            notes.append(
                f"{name!r} has {different} distinct integers and is treated as classes; for regression: "
                '--set source.kind="number"'
            )
    spelled = class_spellings(cells)
    classes = class_names(cells)
    if not 2 <= len(classes) <= (MOST_CLASSES if values is not None else _most_classes(cells)):
        why = "too many for classes" if len(classes) > 1 else "classes need two"
        raise BadData(
            f"{table.path}: the target {name!r} has {len(classes):,} different values in {len(cells):,} rows: {why}.",
            "Choose another target column.",
        )
    notes += spelling_notes(spelled, "Class")
    codes = {word: classes.index(label) for word, label in spelled.items()}
    return np.array([codes[cell] for cell in cells], np.int64), classes


def _most_classes(cells: Sequence[str]) -> int:
    return min(MOST_CLASSES, max(2, len(cells) // 2))


def _check_texts(table: Table, name: str, missing: MissingWords, notes: list[str]) -> None:
    """Refuse numbers in another form, or with words among them; add a note on other mixtures."""
    odd = mixture(table, name, NO_WORDS)
    if style := number_style(table.columns[name], NO_WORDS):
        what, _, remedy = style.partition("; ")
        raise BadData(
            f"{table.path}: the target {name!r} has {what}{f': {odd}' if odd else ''}.",
            f'To have numbers, {remedy}; if they are classes: --set source.kind="class".',
        )
    if odd and odd.of_numbers:
        dropped = ', or empty it and add: --set source.target_missing="drop"'
        classes = '; if they are classes: --set source.kind="class"'
        refuse_words(table, name, odd, "the target", missing, dropped + classes)
    if odd:
        notes.append(f"{name!r} is treated as classes: {odd}.")
