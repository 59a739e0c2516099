"""Consistency check of a source's fast path, batch() and whole(), with its raw samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchdog.api import ArraySplit, BatchSplit
from benchdog.data.collate import samples_of
from benchdog.data.dataset import DecodedSplit, WeightedArrays
from benchdog.data.sample_weights import Weight
from benchdog.errors import BadData


def check_fast_path(samples: DecodedSplit, count: int = 8) -> None:
    """Compare a source's fast path with its decoded raw samples at `count` positions, the first and last included.

    Raises:
        BadData: arrays, dtypes, targets or weights differ.
    """
    if not isinstance(samples.split, BatchSplit | ArraySplit) or not len(samples):
        return
    positions = sorted({round(i * (len(samples) - 1) / max(1, count - 1)) for i in range(count)})
    fast, slow = samples.read(positions), samples.read_raw(positions)
    if not isinstance(fast[0], tuple) or len(fast[0]) != len(slow[0]):
        raise BadData(
            f"The source's batch() returns no tuple of {len(slow[0])} arrays, one per field, before the target.",
            "Fix the source: return (inputs, target), inputs a tuple in the spec's order.",
        )
    for field, a, b in zip(samples.spec.fields, fast[0], slow[0], strict=True):
        if a.dtype != b.dtype or not np.array_equal(a, b, equal_nan=a.dtype.kind == "f"):
            raise BadData(
                f"The source's batch() returns another {field.name} than its raw() decoded.",
                "Fix the source: both must return the same arrays and dtypes.",
            )
    if fast[1].dtype != slow[1].dtype or not np.array_equal(fast[1], slow[1], equal_nan=slow[1].dtype.kind == "f"):
        raise BadData("The source's batch() returns other targets than its raw().", "Fix the source.")
    if not _equal_weights(fast[2], slow[2]):
        raise BadData("The source's batch() returns other weights than its raw().", "Fix the source.")
    split = samples.split
    if isinstance(split, ArraySplit) and not _contains(samples, samples.whole(), fast, positions):
        other = "batch()" if isinstance(split, BatchSplit) else "raw() decoded"
        raise BadData(f"The source's whole() returns other samples than its {other}.", "Fix the source.")


def _equal_weights(a: Weight, b: Weight) -> bool:
    """Whether two sets of weights are equal."""
    return a is b if a is None or b is None else np.array_equal(a, b)


def _contains(samples: DecodedSplit, whole: Sequence[Any], batch: WeightedArrays, positions: list[int]) -> bool:
    """Whether the arrays of a whole split hold a batch at its positions."""
    inputs, given, *more = whole
    weight = np.asarray(more[0], np.float32) if more and more[0] is not None else None
    if not _equal_weights(weight if weight is None else weight[positions], batch[2]):
        return False
    each = samples_of(given, samples.spec.target)
    target = samples.collate([each[i] for i in positions], lambda row: samples.split.raw(positions[row]).id)
    pairs = zip((*(x[positions] for x in inputs), target), (*batch[0], batch[1]), strict=True)
    return all(len(x) == len(samples) for x in (*inputs, given)) and all(
        a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in pairs
    )
