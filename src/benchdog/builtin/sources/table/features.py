"""Feature selection for tables, and detection of target leakage."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from benchdog.api import MISSING, Column, MissingWords, Table, json_text
from benchdog.builtin.sources.table.columns import (
    MAX_CATEGORIES,
    Numbers,
    category_names,
    check_finite,
    float32_collisions,
    missing_note,
    mixture,
    number_style,
    numbers,
    refuse_words,
    same_numbers,
)

MIN_CATEGORY_COUNT: Final = 2
"""Categories with fewer training rows are treated as unseen."""
ALMOST: Final = 0.95
"""A relation that holds in this share of the rows is taken to hold in all."""
Positions = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(slots=True)
class Features:
    """Number columns (NaN missing) and text columns (None missing), in the file's order; why others are left out."""

    order: list[str] = field(default_factory=list)
    numbers: dict[str, Numbers] = field(default_factory=dict)
    texts: dict[str, list[str | None]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)

    def contents(self, target: Sequence[str]) -> list[bytes]:
        """Return what identifies each row: rows with equal features and targets have equal contents."""
        columns = [
            same_numbers(self.numbers[name]) if name in self.numbers
            else ["\0" if text is None else text for text in self.texts[name]]
            for name in self.order
        ]  # fmt: skip
        return ["\x1f".join(row).encode() for row in zip(*columns, target, strict=True)]

    def columns(self, train: Positions) -> tuple[Column, ...]:
        """Describe the columns; categories are those that the training rows have often enough."""
        described = []
        for name in self.order:
            if name in self.numbers:
                described.append(Column(name=name))
                continue
            counts = Counter(self.texts[name][i] for i in train)
            known = sorted(text for text, n in counts.items() if text is not None and n >= MIN_CATEGORY_COUNT)
            described.append(Column(name=name, kind="category", categories=tuple(known)))
        return tuple(described)

    def matrix(self, columns: Sequence[Column]) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Return float32 (rows, columns): numbers, and category codes 1..n, 0 for missing or unseen."""
        out = np.empty((self.rows, len(columns)), np.float32)
        for j, column in enumerate(columns):
            if column.kind == "number":
                out[:, j] = self.numbers[column.name]
            else:
                codes = {text: code for code, text in enumerate(column.categories, 1)}
                out[:, j] = [codes.get(text or "", 0) for text in self.texts[column.name]]
        return out

    @property
    def rows(self) -> int:
        """The number of rows."""
        first = self.order[0]
        return len(self.numbers[first] if first in self.numbers else self.texts[first])


def select_features(
    table: Table,
    candidates: Sequence[str],
    categories: Sequence[str],
    drop: Sequence[str],
    missing: MissingWords,
    notes: list[str],
) -> Features:
    """Select the columns with information; add a note for each that is left out.

    Raises:
        BadData: a number isn't finite, or a column of numbers has other texts in it.
    """
    features = Features()
    for name in candidates:
        cells = table.columns[name]
        values = None if name in categories else numbers(cells, missing)
        if values is not None:
            check_finite(table, name, values)
            why, odd = _useless_number(values), None
        else:
            style = "" if name in categories else number_style(cells, missing)
            odd = None if style or name in categories else mixture(table, name, missing)
            why = f"its numbers have {style}" if style else _useless_text(cells, missing)
        if odd and odd.of_numbers:
            left_out, codes = (json_text([*names, name]) for names in (drop, categories))
            remedy = (
                f", leave empty what isn't known, or: --set 'source.drop={left_out}'; "
                f"for codes: --set 'source.categories={codes}'"
            )
            refuse_words(table, name, odd, "column", missing, remedy)
        if why:
            features.left_out[name] = why
            notes.append(f"Column {name!r} is dropped: {why}{f' ({odd})' if odd else ''}.")
            continue
        if odd:
            notes.append(f"Column {name!r}: {odd}; it is treated as categorical. Correct them or leave them empty.")
        if values is not None and (lost := float32_collisions(values)):
            notes.append(f"Column {name!r} has values that float32 can't distinguish ({lost}): subtract an offset.")
        features.order.append(name)
        if values is not None:
            features.numbers[name] = values
        else:
            named = category_names(cells)
            features.texts[name] = [None if cell in missing else named[cell] for cell in cells]
    notes += missing_note(table, features.order, missing)
    return features


def _useless_number(values: Numbers) -> str:
    if np.isnan(values).all():
        return "all values are missing"
    if len(values) > 1 and (values == values[0]).all():
        return f"every value is {values[0]:g}"
    steps = np.diff(values)
    if len(values) > 20 and np.isin(steps, (0, 1)).all() and steps.mean() >= ALMOST:
        return "it is a row index"
    return ""


def _useless_text(cells: Sequence[str], missing: MissingWords) -> str:
    present = [cell for cell in cells if cell not in missing]
    different = set(present)
    if len(different) == 1 and len(present) == len(cells):
        return f"every value is {present[0]!r}"
    if len(different) == len(present) > 2:
        return "its texts are all distinct, like an id"
    if len(different) > MAX_CATEGORIES:
        more = "; if equal ones belong together, make it the group column" if len(different) < len(present) else ""
        return f"it has {len(different):,} different texts, more than {MAX_CATEGORIES}{more}"
    return ""


def target_leaks(features: Features, target: str, answer: Numbers, labels: Sequence[str] | None) -> list[str]:
    """Return notes on columns that leak the target, and on duplicate columns.

    Args:
        features: the columns that a model will see.
        target: the target's name.
        answer: the target as numbers, or the codes of its classes.
        labels: the classes as the file has them; None for a number.
    """
    notes = [
        f"Column {name!r} determines the target {target!r} in every row: drop it unless it is known "
        "before the target is."
        for name in features.order
        if _same_partition(_codes(features, name), answer)
    ]
    whole = answer
    if labels is not None:
        found = numbers(labels, MISSING)
        whole = answer if found is None or np.isnan(found).any() else found
    parts, share = ([], 0.0) if notes else _sum_parts(features.numbers, whole)
    if parts:
        names = " + ".join(repr(name) for name in parts)
        rows = "every row" if share == 1 else f"{100 * share:.1f} % of the rows"
        notes.append(
            f"{names} add up to the target {target!r} in {rows}: drop them unless they are "
            "known before the target is."
        )
    return notes + _duplicate_columns(features)


def _codes(features: Features, name: str) -> Numbers:
    if name in features.numbers:
        return features.numbers[name]
    return np.unique([text or "\0" for text in features.texts[name]], return_inverse=True)[1].astype(float)


def _same_partition(column: Numbers, answer: Numbers) -> bool:
    """Whether two columns map one to one, with repeated values."""
    if np.isnan(column).any() or len(column) < 10:
        return False
    pairs = np.unique(np.stack([column, answer]), axis=1).shape[1]
    one, other = len(np.unique(column)), len(np.unique(answer))
    # Where all values differ, any column would map to the target.
    return (pairs == one == other and one <= len(column) // 2) or bool(np.array_equal(column, answer))


def _sum_parts(columns: Mapping[str, Numbers], answer: Numbers) -> tuple[list[str], float]:
    """Return number columns whose sum is the target, and the share of rows where it is exact."""
    names = [name for name, values in columns.items() if not np.isnan(values).any()]
    if len(names) < 2 or len(answer) < 4 * len(names) + 10:
        return [], 0.0
    X = np.stack([columns[name] for name in names], axis=1)
    scale = np.abs(X).max(axis=0) + 1e-12
    rows = np.arange(min(len(answer), 5000))
    for _ in range(2):  # once more without the rows that fit worst: some may be faulty
        weights = np.linalg.lstsq(X[rows] / scale, answer[rows], rcond=None)[0] / scale
        misfit = np.abs(X[rows] @ weights - answer[rows])
        rows = rows[misfit <= np.quantile(misfit, 0.8)]
    chosen = np.flatnonzero(np.abs(weights - 1) < 0.05)
    exact = np.abs(X[:, chosen].sum(axis=1) - answer) <= 1e-6 * (1 + np.abs(answer).max())
    share = float(exact.mean())
    return ([names[i] for i in chosen], share) if len(chosen) > 1 and share >= ALMOST else ([], share)


def _duplicate_columns(features: Features) -> list[str]:
    seen: dict[bytes, str] = {}
    notes = []
    for name in features.order:
        content = (
            features.numbers[name].tobytes() if name in features.numbers else repr(features.texts[name]).encode()
        )
        if content in seen:
            notes.append(f"Columns {seen[content]!r} and {name!r} are equal in every row; one is enough.")
        seen.setdefault(content, name)
    return notes
