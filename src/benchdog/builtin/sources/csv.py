"""A table in a CSV file: its columns are typed, its rows divided so that nothing leaks."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchdog.api import BadData, BadUsage, Column, Field, Preprocess, Raw, Spec, Target
from benchdog.builtin.sources.division import SPLITS, divide
from benchdog.builtin.sources.features import Features, choose, leaks
from benchdog.builtin.sources.options import CsvOptions
from benchdog.builtin.sources.tables import (
    ABSENT,
    MISSING,
    Table,
    check_finite,
    coarse,
    has_comma,
    is_missing,
    numbers,
    read,
    strays,
    times,
)
from benchdog.builtin.sources.wording import existing, few, meant, natural

Array = np.ndarray[Any, np.dtype[Any]]
MOST_INTEGERS = 20
"""A target of more different whole numbers is a number for kind = auto."""
MOST_CLASSES = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class _Loaded:
    table: Table
    features: Features
    columns: tuple[Column, ...]
    values: Array
    targets: Array
    classes: tuple[str, ...]
    parts: dict[str, Array]


class Csv:
    """Rows of a CSV file; `notes` says what was found in it and done about it."""

    def __init__(self, options: CsvOptions) -> None:
        self.options = options
        self.notes: list[str] = []
        self._loaded: _Loaded | None = None
        self._target = options.target
        self.time_order = bool(options.time)

    def spec(self) -> Spec:
        """Describe a float32 row of numbers and category codes, and the target."""
        loaded = self._load()
        field = Field(kind="table", shape=(len(loaded.columns),), dtype="float32", columns=loaded.columns)
        if loaded.classes:
            target = Target(kind="class", name=self._target, classes=loaded.classes)
        else:
            target = Target(kind="number", name=self._target, dtype="float32")
        return Spec(fields=(field,), target=target)

    def preprocess(self, spec: Spec) -> Preprocess:
        """Give the reading of a row, and the number columns that may be missing."""
        loaded = self._load()
        columns = [{"name": c.name, "kind": c.kind, "categories": list(c.categories)} for c in loaded.columns]
        train = loaded.values[loaded.parts["train"]]
        absent = [column.name for j, column in enumerate(loaded.columns) if np.isnan(train[:, j]).any()]
        row = {"op": "row", "columns": columns, "missing": list(MISSING)}
        return Preprocess(decode={"input": [row]}, transform={"input": [{"op": "table", "missing": absent}]})

    def open(self) -> dict[str, RowSplit]:
        """Give the rows of each split."""
        loaded = self._load()
        return {name: RowSplit(loaded, at) for name, at in loaded.parts.items()}

    def _load(self) -> _Loaded:
        if self._loaded is None:
            self.notes.clear()
            self._loaded = self._read()
        return self._loaded

    def _read(self) -> _Loaded:
        options = self.options
        table = read(existing(options.path, "csv", "a CSV file"), options.separator)
        self._check_names(table)
        table = self._with_target(table)
        labels = table.columns[self._target]
        targets, classes = self._targets(table)
        gone = {self._target, options.group, *options.drop}
        if options.time and numbers(table.columns[options.time]) is None:
            gone.add(options.time)
        candidates = [name for name in table.columns if name not in gone]
        features = choose(table, candidates, options.categories, self.notes)
        if not features.order:
            raise BadData(f"{table.path} has no column to learn from.", " ".join(self.notes))
        contents = features.contents(labels)
        parts = self._parts(table, contents, targets if classes else np.zeros(len(contents), int))
        columns = features.columns(parts["train"])
        self.notes += leaks(features, self._target, targets.astype(float), labels if classes else None)
        self._note_classes(classes, targets, parts)
        self._note_duplicates(contents)
        return _Loaded(
            table=table, features=features, columns=columns, values=features.matrix(columns),
            targets=targets, classes=classes, parts=parts,
        )  # fmt: skip

    def _check_names(self, table: Table) -> None:
        """Check every column that an option names, and choose the target."""
        options = self.options
        if options.group and options.time:
            raise BadUsage("group and time can't both divide the rows.", "Give one of them.")
        if not options.target:
            self._target = list(table.columns)[-1]
            self.notes.append(f"The target is the last column, {self._target!r} (option target).")
        named = {
            "target": [self._target], "drop": options.drop, "categories": options.categories,
            "group": [options.group], "time": [options.time],
        }  # fmt: skip
        for option, names in named.items():
            for name in names:
                if name and name not in table.columns:
                    raise BadUsage(f"{table.path} has no column {name!r} ({option}).", meant(name, table.columns))
        if self._target in {options.group, options.time, *options.drop}:
            raise BadUsage(f"The target {self._target!r} is also named by drop, group or time.")

    def _with_target(self, table: Table) -> Table:
        """Leave out rows without a target, or refuse them."""
        cells = table.columns[self._target]
        words = ABSENT if self.options.kind == "class" or numbers(cells) is None else MISSING
        gone = [cell.casefold() in words for cell in cells]
        absent = [line for line, is_gone in zip(table.lines, gone, strict=True) if is_gone]
        if not absent:
            return table
        if self.options.target_missing == "refuse":
            raise BadData(
                f"{table.path}: the target {self._target!r} is missing in {len(absent):,} of {len(cells):,} "
                f"rows: line {few(absent, len(absent))}.",
                'Fill it in, or leave those rows out: --set source.target_missing="drop".',
            )
        if len(absent) == len(cells):
            raise BadData(f"{table.path}: no row has a target {self._target!r}.")
        self.notes.append(f"{len(absent):,} rows without a target are left out.")
        return table.keep([not is_gone for is_gone in gone])

    def _targets(self, table: Table) -> tuple[Array, tuple[str, ...]]:
        """Give float32 numbers and (), or int64 codes and the classes in order."""
        cells, kind = table.columns[self._target], self.options.kind
        values = numbers(cells)
        if values is not None and np.isnan(values).any():  # kind = class, and a class is called none
            values = None
        if kind == "number" and values is None:
            wrong = [
                f"{line} ({cell})" for line, cell in zip(table.lines, cells, strict=True)
                if numbers([cell]) is None
            ]  # fmt: skip
            raise BadData(
                f"{table.path}: the target {self._target!r} is no number in line {few(wrong, len(wrong))}.",
                "Correct the cells, or use kind = class.",
            )
        if kind == "auto" and values is None and has_comma(cells):
            raise BadData(
                f"{table.path}: the target {self._target!r} has a decimal comma: {strays(table, self._target)}.",
                'Write numbers with a point; if they are classes: --set source.kind="class".',
            )
        if values is not None:
            check_finite(table, self._target, values)
            whole = bool((values == np.round(values)).all())
            different = len(np.unique(values))
            as_text = np.abs(values).max() >= 2**53 or any(re.match(r"[+-]?0\d", cell) for cell in cells)
            if kind == "number" or (
                kind == "auto" and (not whole or different > min(MOST_INTEGERS, len(values) // 3))
            ):
                self._note_target(coarse(values), "can't be told apart in float32 ({}): subtract a start value.")
                return values.astype(np.float32), ()
            if kind == "auto" and different > 2:
                self._note_target(
                    f"{different} whole numbers",
                    'has {} and is taken for classes; for numbers: --set source.kind="number"',
                )
            cells = [f"{value + 0:.0f}" for value in values] if whole and not as_text else cells  # + 0: no "-0"
        elif kind == "auto":
            self._note_target(strays(table, self._target), "is taken for classes: {}.")
        classes = sorted(set(cells), key=natural if values is None else lambda cell: (float(cell), cell))
        if not 2 <= len(classes) <= MOST_CLASSES or (values is None and len(classes) > len(cells) // 2):
            raise BadData(
                f"{table.path}: the target {self._target!r} has {len(classes):,} different values in "
                f"{len(cells):,} rows: these can't be classes to learn.",
                "Choose another target column.",
            )
        codes = {name: code for code, name in enumerate(classes)}
        return np.array([codes[cell] for cell in cells], np.int64), tuple(classes)

    def _parts(self, table: Table, contents: list[bytes], labels: Array) -> dict[str, Array]:
        options = self.options
        if options.time:
            parts = self._by_time(table)
        else:
            keys = contents
            if options.group:
                keys = [
                    b"row:" + content if is_missing(cell) else cell.encode()
                    for cell, content in zip(table.columns[options.group], contents, strict=True)
                ]
            parts = divide(keys, labels.tolist(), valid=options.valid, test=options.test, seed=options.split_seed)
        empty = [name for name in SPLITS if not len(parts[name])]
        if empty:
            by = options.group or options.time
            what = f"values of {by!r}" if by else "rows"
            raise BadData(
                f"{table.path}: there are too few different {what}: no row for {' and '.join(empty)}.",
                "Give more rows, or other shares.",
            )
        return parts

    def _by_time(self, table: Table) -> dict[str, Array]:
        """Cut at two moments; rows of one moment stay together."""
        options = self.options
        moments = times(table, options.time)
        n = len(moments)
        if options.valid + options.test >= 1:
            raise BadUsage(f"valid = {options.valid} and test = {options.test} leave nothing to train on.")
        ordered = np.sort(moments)
        late = ordered[min(n - 1, round(n * (1 - options.test)))]
        middle = ordered[min(n - 1, round(n * (1 - options.test - options.valid)))]
        return {
            "train": np.flatnonzero(moments < middle),
            "valid": np.flatnonzero((moments >= middle) & (moments < late)),
            "test": np.flatnonzero(moments >= late),
        }

    def _note_target(self, what: str, sentence: str) -> None:
        """Note something about the target, if there is something."""
        if what:
            self.notes.append(f"{self._target!r} {sentence.format(what)}")

    def _note_classes(self, classes: Sequence[str], targets: Array, parts: dict[str, Array]) -> None:
        counts = {name: np.bincount(targets[at], minlength=len(classes)) for name, at in parts.items() if classes}
        for code, label in enumerate(classes):
            lacking = [name for name in SPLITS if not counts[name][code]]
            if lacking:
                total = sum(int(count[code]) for count in counts.values())
                rows = "1 row" if total == 1 else f"{total} rows"
                self.notes.append(f"Class {label!r} has {rows}: none in {' and '.join(lacking)}.")

    def _note_duplicates(self, contents: Sequence[bytes]) -> None:
        copies = len(contents) - len(Counter(contents))
        if copies and not self.options.time and not self.options.group:
            self.notes.append(f"{copies:,} rows are copies of others; copies stay in one split.")


class RowSplit:
    """Rows in memory; a raw maps column names to numbers, texts or None."""

    def __init__(self, loaded: _Loaded, at: Array) -> None:
        self.features = loaded.features
        self.columns = loaded.columns
        self.lines = [loaded.table.lines[i] for i in at]
        self.at = at
        self.values = loaded.values[at]
        self.targets = loaded.targets[at]

    def __len__(self) -> int:
        return len(self.at)

    def raw(self, i: int) -> Raw:
        """Give a row as the file has it."""
        features, row = self.features, int(self.at[i])
        cells: dict[str, float | str | None] = {}
        for column in self.columns:
            if column.kind == "number":
                number = float(features.numbers[column.name][row])
                cells[column.name] = None if number != number else number
            else:
                cells[column.name] = features.texts[column.name][row]
        return Raw(id=f"line-{self.lines[i]}", fields={"input": cells}, target=self.targets[i])

    def batch(self, indices: Sequence[int]) -> tuple[tuple[Array, ...], Array]:
        """Give ((B, columns),) float32 and (B,)."""
        return (self.values[indices],), self.targets[indices]

    def whole(self) -> tuple[tuple[Array, ...], Array]:
        """Give all of them, uncopied."""
        return (self.values,), self.targets
