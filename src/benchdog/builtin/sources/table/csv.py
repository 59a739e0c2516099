"""The source `csv`: typed columns, and rows split without leakage."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchdog.api import (
    BadData,
    BadUsage,
    Column,
    Field,
    MissingWords,
    Preprocess,
    Raw,
    SampleCounts,
    Spec,
    Table,
    lacking_notes,
    read_table,
)
from benchdog.builtin.sources.messages import existing_path, suggest
from benchdog.builtin.sources.options import CsvOptions
from benchdog.builtin.sources.splitting import SPLITS, count_overlap, split_by_content
from benchdog.builtin.sources.table.columns import numbers, same_cells, times
from benchdog.builtin.sources.table.features import Features, select_features, target_leaks
from benchdog.builtin.sources.table.targets import TargetColumns, counted, read_targets, with_targets
from benchdog.builtin.sources.table.weights import (
    Weights,
    batch_tuple,
    check_weight_column,
    drop_zero_weight_rows,
    weights_of,
)

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Loaded:
    table: Table
    features: Features
    columns: tuple[Column, ...]
    values: Array
    answers: TargetColumns
    weights: Weights | None
    parts: dict[str, Array]
    bare: Table | None


class Csv:
    """Rows of a CSV file; `notes` reports what was detected and left out."""

    def __init__(self, options: CsvOptions) -> None:
        self.options = options
        self.notes: list[str] = []
        self.seen: dict[str, int] = {}
        self.left_out: dict[str, str] = {}
        self.counts: SampleCounts | None = None
        self._loaded: _Loaded | None = None
        given = options.target
        self._names: tuple[str, ...] = (given,) if isinstance(given, str) else given
        self.time_order = bool(options.time)
        self._missing = MissingWords(options.na_values)

    def spec(self) -> Spec:
        """Describe a float32 row of numbers and category codes, and the target."""
        loaded = self._load()
        field = Field(kind="table", shape=(len(loaded.columns),), dtype="float32", columns=loaded.columns)
        return Spec(fields=(field,), target=loaded.answers.target)

    def preprocess(self, spec: Spec) -> Preprocess:
        """Return the decode operation of a row, and the number columns with missing values."""
        loaded = self._load()
        columns = [{"name": c.name, "kind": c.kind, "categories": list(c.categories)} for c in loaded.columns]
        train = loaded.values[loaded.parts["train"]]
        absent = [column.name for j, column in enumerate(loaded.columns) if np.isnan(train[:, j]).any()]
        row: dict[str, Any] = {
            "op": "row", "columns": columns, "missing": list(self._missing.listed), "canonical": True,
        }  # fmt: skip
        if loaded.table.literal:
            row["quote"] = "none"
        return Preprocess(decode={"input": [row]}, transform={"input": [{"op": "table", "missing": absent}]})

    def open(self) -> dict[str, Any]:
        """Return the rows of each split; those without a target as they are in the file."""
        loaded = self._load()
        splits: dict[str, Any] = {name: RowSplit(loaded, at) for name, at in loaded.parts.items()}
        if (bare := loaded.bare) is not None:
            names = [column.name for column in loaded.columns]
            rows = zip(*(bare.columns[name] for name in names), strict=True)
            splits["unlabeled"] = [
                Raw(id=f"line-{line}", fields={"input": dict(zip(names, row, strict=True))})
                for line, row in zip(bare.lines, rows, strict=True)
            ]
        return splits

    def _load(self) -> _Loaded:
        if self._loaded is None:
            self.notes.clear()
            self._loaded = self._read()
        return self._loaded

    def _read(self) -> _Loaded:
        options = self.options
        table = read_table(existing_path(options.path, "csv", "a CSV file"), options.separator, options.quote)
        self.notes += table.notes
        self._check_names(table)
        table = drop_zero_weight_rows(table, options.weight, self.notes)
        table, bare = with_targets(table, self._names, options, self.notes)
        self.counts = counted(table, bare)
        cells = [table.columns[name] for name in self._names]
        answers = read_targets(table, self._names, options, self.notes)
        gone = {*self._names, options.group, options.weight, *options.drop}
        if options.time and numbers(table.columns[options.time], self._missing) is None:
            gone.add(options.time)
        candidates = [name for name in table.columns if name not in gone]
        features = select_features(table, candidates, options.categories, options.drop, self._missing, self.notes)
        self.left_out = {**self._excluded(gone - {*self._names}), **features.left_out}
        if not features.order:
            raise BadData(
                f"{table.path} has no feature column.",
                " ".join([*self.notes, self._of_text(table, candidates)]).rstrip(),
            )
        contents = features.contents(["\x1f".join(row) for row in zip(*map(same_cells, cells), strict=True)])
        parts = self._parts(table, contents, answers.groups())
        self.seen = count_overlap(contents, parts)
        columns = features.columns(parts["train"])
        self._note_leaks(features, answers, cells)
        self._note_classes(answers, parts)
        self._note_duplicates(contents)
        return _Loaded(
            table=table, features=features, columns=columns, values=features.matrix(columns),
            answers=answers, weights=weights_of(table, options.weight), parts=parts, bare=bare,
        )  # fmt: skip

    def _of_text(self, table: Table, names: Sequence[str]) -> str:
        """Return a hint to train on a column of sentences; "" without one."""
        for name in names:
            words = [len(cell.split()) for cell in table.columns[name]]
            if sum(words) > 2 * len(words):
                options = f"--set source.column={name} --set source.label={self._names[0]}"
                return f"To train on the text {name!r}: benchdog train text --data {table.path} {options}"
        return ""

    def _excluded(self, names: set[str]) -> dict[str, str]:
        """Return, by column, the option that excludes it from the features."""
        options = self.options
        by = {options.weight: "weight", options.time: "time", options.group: "group"} | dict.fromkeys(
            options.drop, "drop"
        )
        return {name: f"option {by[name]}" for name in sorted(names - {""})}

    def _check_names(self, table: Table) -> None:
        """Check the columns that options name, and resolve the target."""
        options = self.options
        if options.group and options.time:
            raise BadUsage("group and time can't both determine the splits.", "Use one of them.")
        if not self._names or (len(self._names) > 1 and not all(self._names)):
            raise BadUsage(
                f"source.target is {list(self._names)}: each name must be a column.",
                f'Write "NAME" or ["A", "B"]; without it, the last column. Available: {", ".join(table.columns)}.',
            )
        if not any(self._names):
            self._names = tuple(name for name in table.columns if name != options.weight)[-1:]
            self.notes.append(f"The target is the last column, {self._names[0]!r} (option target).")
        named = {
            "target": self._names, "drop": options.drop, "categories": options.categories,
            "group": [options.group], "time": [options.time], "weight": [options.weight],
        }  # fmt: skip
        for option, names in named.items():
            for name in names:
                if name and name not in table.columns:
                    hint = suggest(name, table.columns)
                    if option == "target" and set(parts := name.split(",")) <= {*table.columns}:
                        hint = f"For several: {' '.join(f'--target {part}' for part in parts)}"
                    raise BadUsage(f"{table.path} has no column {name!r} ({option}).", hint)
        check_weight_column(
            options.weight, (*self._names, *options.drop, *options.categories, options.group, options.time)
        )
        for at, name in enumerate(self._names):
            if name in {options.group, options.time, *options.drop, *self._names[:at]}:
                raise BadUsage(f"The target {name!r} is also named by target, drop, group or time.", "Name it once.")

    def _parts(self, table: Table, contents: list[bytes], labels: Array) -> dict[str, Array]:
        options = self.options
        if options.time:
            parts = self._by_time(table)
        else:
            keys = contents
            if options.group:
                keys = [
                    b"row:" + content if cell in self._missing else cell.encode()
                    for cell, content in zip(same_cells(table.columns[options.group]), contents, strict=True)
                ]
            parts = split_by_content(
                keys, labels.tolist(), valid=options.valid, test=options.test, seed=options.split_seed
            )
        empty = [name for name in SPLITS if not len(parts[name])]
        if empty:
            by = options.group or options.time
            what = f"values of {by!r}" if by else "rows"
            raise BadData(
                f"{table.path}: too few distinct {what}: no row is left for {' and '.join(empty)}.",
                "Add rows, or use other fractions.",
            )
        return parts

    def _by_time(self, table: Table) -> dict[str, Array]:
        """Split by time at two cut points; rows with equal times stay together."""
        options = self.options
        moments = times(table, options.time, self._missing)
        n = len(moments)
        if options.valid + options.test >= 1:
            raise BadUsage(f"valid = {options.valid} and test = {options.test} leave no training data.")
        ordered = np.sort(moments)
        late = ordered[min(n - 1, round(n * (1 - options.test)))]
        middle = ordered[min(n - 1, round(n * (1 - options.test - options.valid)))]
        return {
            "train": np.flatnonzero(moments < middle),
            "valid": np.flatnonzero((moments >= middle) & (moments < late)),
            "test": np.flatnonzero(moments >= late),
        }

    def _note_leaks(self, features: Features, answers: TargetColumns, cells: Sequence[Sequence[str]]) -> None:
        """Add notes on columns that leak a target, each once."""
        columns = answers.values.reshape(len(answers.values), -1).T.astype(float)
        for name, values, texts in zip(self._names, columns, cells, strict=True):
            found = target_leaks(features, name, values, texts if answers.classes else None)
            self.notes += [note for note in found if note not in self.notes]

    def _note_classes(self, answers: TargetColumns, parts: dict[str, Array]) -> None:
        """Add notes on classes or labels that a split lacks."""
        names, values = answers.target.classes, answers.values
        if answers.target.kind == "number":
            return
        true = values if values.ndim == 2 else values[:, None] == np.arange(len(names))
        counts = {name: true[at].sum(0).astype(int) for name, at in parts.items()}
        self.notes += lacking_notes(names, counts, what="Class" if answers.classes else "Label")

    def _note_duplicates(self, contents: Sequence[bytes]) -> None:
        copies = len(contents) - len(Counter(contents))
        if copies and not self.options.time and not self.options.group:
            self.notes.append(f"{copies:,} duplicate rows; duplicates are kept in one split.")


class RowSplit:
    """A split of table rows in memory; a raw sample maps column names to numbers, texts or None."""

    def __init__(self, loaded: _Loaded, at: Array) -> None:
        self.features = loaded.features
        self.columns = loaded.columns
        self.lines = [loaded.table.lines[i] for i in at]
        self.at = at
        self.values = loaded.values[at]
        self.targets = loaded.answers.values[at]
        self.weights = None if loaded.weights is None else loaded.weights[at]

    def __len__(self) -> int:
        return len(self.at)

    def id(self, i: int) -> str:
        """Return the id of a row: its line in the file."""
        return f"line-{self.lines[i]}"

    def raw(self, i: int) -> Raw:
        """Return a row as it is in the file."""
        features, row = self.features, int(self.at[i])
        cells: dict[str, float | str | None] = {}
        for column in self.columns:
            if column.kind == "number":
                number = float(features.numbers[column.name][row])
                cells[column.name] = None if number != number else number
            else:
                cells[column.name] = features.texts[column.name][row]
        weight = None if self.weights is None else float(self.weights[i])
        return Raw(id=self.id(i), fields={"input": cells}, target=self.targets[i], weight=weight)

    def batch(self, indices: Sequence[int]) -> tuple[Any, ...]:
        """Return ((B, columns),) float32, targets (B,) or (B, targets), and weights (B,) if there are any."""
        weights = None if self.weights is None else self.weights[indices]
        return batch_tuple(self.values[indices], self.targets[indices], weights)

    def whole(self) -> tuple[Any, ...]:
        """Return all rows without copying."""
        return batch_tuple(self.values, self.targets, self.weights)
