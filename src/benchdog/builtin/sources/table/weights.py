"""Sample weights from a column of a table."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from benchdog.api import MISSING, BadData, BadUsage, Table, is_number, shortlist

Array = np.ndarray[Any, np.dtype[Any]]
Weights = np.ndarray[Any, np.dtype[np.float32]]


def drop_zero_weight_rows(table: Table, name: str, notes: list[str]) -> Table:
    """Drop the rows of weight 0; the table itself without a weight column.

    Raises:
        BadData: a weight is missing, not a number, negative or not finite, or all are 0; names the lines.
    """
    if not name:
        return table
    cells = table.columns[name]
    faults = {
        "is missing": [cell in MISSING for cell in cells],
        "is not a number": [cell not in MISSING and not is_number(cell) for cell in cells],
        "is negative, infinite or too small": [is_number(cell) and not _fits(float(cell)) for cell in cells],
    }
    for fault, wrong in faults.items():
        if any(wrong):
            found = zip(table.lines, cells, wrong, strict=True)
            lines = [f"{line} ({cell})" if cell else str(line) for line, cell, is_wrong in found if is_wrong]
            raise BadData(
                f"{table.path}: the weight {name!r} {fault} in line {shortlist(lines)}.",
                "Each row needs a number, 0 or more; 0 drops the row.",
            )
    there = [float(cell) > 0 for cell in cells]
    if not any(there):
        raise BadData(
            f"{table.path}: the weight {name!r} is 0 in every row.", "At least one row needs a positive weight."
        )
    if not all(there):
        notes.append(f"{there.count(False):,} rows of weight 0 are dropped.")
    values = [float(cell) for cell in cells if float(cell)]
    mean = sum(values) / len(values)
    notes.append(f"{name!r} is the sample weight: {min(values):g} to {max(values):g}, mean {mean:.3g}.")
    return table.keep(there, "of weight 0")


def weights_of(table: Table, name: str) -> Weights | None:
    """Return the weights (rows,), validated before; None without a weight column."""
    return np.array([float(cell) for cell in table.columns[name]], np.float32) if name else None


def batch_tuple(inputs: Array, target: Array, weights: Weights | None) -> tuple[Any, ...]:
    """Return a batch as a fast path does: ((inputs,), target), and weights if there are any."""
    return ((inputs,), target) if weights is None else ((inputs,), target, weights)


def check_weight_column(name: str, others: Iterable[str]) -> None:
    """Check that no other option names the weight column."""
    if name and name in others:
        raise BadUsage(f"The weight {name!r} is also named by another option.", "Name it once.")


def _fits(value: float) -> bool:
    return value == 0 or float(np.finfo(np.float32).tiny) <= value <= float(np.finfo(np.float32).max)
