"""Synthetic model inputs that match a spec, for dry runs, exports and checks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchdog.api import Spec
from benchdog.errors import BadData

FREE = 8
"""Length of a free axis, where neither spec nor samples say any."""


def generate_inputs(spec: Spec, n: int, seed: int = 0) -> tuple[np.ndarray, ...]:
    """Draw n random inputs within the spec's ranges: (n, ...) per field, free axes of length FREE."""
    draw = np.random.default_rng(seed)
    arrays = []
    for field in spec.fields:
        shape = (n, *(FREE if length is None else length for length in field.shape))
        dtype = np.dtype(field.dtype)
        if field.kind == "table" and field.columns:
            array = np.empty(shape, dtype)
            for i, column in enumerate(field.columns):
                codes = len(column.categories) + 1
                array[:, i] = draw.integers(codes, size=n) if column.categories else draw.normal(size=n)
        else:
            codes = len(spec.target.classes) - 1 if spec.target.kind == "next-token" else 1
            low, high = field.range or ((0, max(codes, 1)) if dtype.kind in "iu" else (-1, 1))
            integers = dtype.kind in "iub"
            array = (
                draw.integers(int(low), int(high), shape, endpoint=True)
                if integers
                else draw.uniform(low, high, shape)
            )
        arrays.append(array.astype(dtype))
    return tuple(arrays)


def cycled_rows(arrays: tuple[np.ndarray, ...], n: int, start: int = 0) -> tuple[np.ndarray, ...]:
    """Return n rows from `start` on, cycling past the end."""
    return tuple(x[(start + np.arange(n)) % len(x)] for x in arrays)


def check_shapes(arrays: Sequence[np.ndarray], spec: Spec) -> None:
    """Check that inputs, each (B, ...), match the spec in number, dtype and shape.

    Raises:
        BadData: they don't.
    """
    if len(arrays) != len(spec.fields):
        raise BadData(f"The model takes {len(spec.fields)} inputs, not {len(arrays)}.")
    for x, field in zip(arrays, spec.fields, strict=True):
        shape = x.shape[1:]
        longest = [length if field.kind == "tokens" else None for length in field.shape]
        fits = len(shape) == len(field.shape) and all(
            want is None or have == want or (most is not None and 0 < have <= most)
            for have, want, most in zip(shape, field.shape, longest, strict=True)
        )
        if not fits or x.dtype != np.dtype(field.dtype) or not all(shape):
            wanted = " x ".join("any" if length is None else str(length) for length in field.shape)
            raise BadData(
                f"Input {field.name!r} is {' x '.join(map(str, shape))} {x.dtype}; "
                f"the model takes {wanted} {field.dtype}.",
                "Decode samples with the model's own preprocessing.",
            )
