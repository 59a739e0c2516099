"""Features engineered by hand, in numpy: decoded inputs (B, ...) -> rows (B, width) float32."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchdog.api import Field

PIECE = 1024
"""Images that are worked on at once."""

BLOCKS = 8
"""Blocks along each axis whose means are features."""

CELLS = 7
"""Cells along each axis in which directions are counted, at most; one has at least 2 x 2 pixels."""

DIRECTIONS = 9
"""Bins of the gradient's direction, over half a turn."""


def rows(inputs: Sequence[NDArray[Any]], fields: Sequence[Field], how: str) -> NDArray[np.float32]:
    """Turn a batch's inputs, in the spec's order, into one row per sample; `how` is auto or raw."""
    parts = [_field(np.asarray(x), field, how) for x, field in zip(inputs, fields, strict=True)]
    return parts[0] if len(parts) == 1 else np.concatenate(parts, 1)


def _field(x: NDArray[Any], field: Field, how: str) -> NDArray[np.float32]:
    if how == "raw" or field.kind in ("table", "tokens"):
        return x.reshape(len(x), -1).astype(np.float32)
    make = image_features if field.kind == "image" else block_means
    pieces = [make(x[start : start + PIECE]) for start in range(0, len(x), PIECE)]
    return np.concatenate(pieces)


def block_means(x: NDArray[Any]) -> NDArray[np.float32]:
    """Average (B, C, ...) over at most BLOCKS blocks along each axis after the channels."""
    means: NDArray[Any] = x.astype(np.float32)
    for axis in range(2, x.ndim):
        edges = _edges(x.shape[axis], BLOCKS)
        lengths = np.diff(np.append(edges, x.shape[axis])).astype(np.float32)
        shape = [-1 if i == axis else 1 for i in range(x.ndim)]
        means = np.add.reduceat(means, edges, axis=axis) / lengths.reshape(shape)
    return means.reshape(len(x), -1).astype(np.float32)


def image_features(x: NDArray[Any]) -> NDArray[np.float32]:
    """Describe images (B, C, H, W): means of blocks, and which way edges run in each cell."""
    return np.concatenate([block_means(x), directions(x)], 1)


def directions(x: NDArray[Any]) -> NDArray[np.float32]:
    """Histogram the gradient's directions per cell, weighted by its strength (Dalal and Triggs, 2005).

    Each 2 x 2 neighborhood of cells is brought to unit length, so that light and contrast fall out.
    """
    gray = x.astype(np.float32).mean(1)
    height, width = gray.shape[1:]
    if min(height, width) < 2:
        return np.zeros((len(x), 0), np.float32)
    down, across = np.gradient(gray, axis=(1, 2))
    strength = np.hypot(down, across)
    turn = (np.arctan2(down, across) / np.pi) % 1.0 * DIRECTIONS
    low = np.floor(turn)
    share = turn - low
    first = low.astype(np.int64) % DIRECTIONS
    counts = np.empty((DIRECTIONS, *gray.shape), np.float32)
    for k in range(DIRECTIONS):
        # A direction between two bins counts for both, the nearer one more.
        counts[k] = strength * ((first == k) * (1 - share) + ((first + 1) % DIRECTIONS == k) * share)
    cells = [max(1, min(CELLS, size // 2)) for size in (height, width)]
    for axis, count in ((2, cells[0]), (3, cells[1])):
        counts = np.add.reduceat(counts, _edges(counts.shape[axis], count), axis=axis)
    histogram = np.moveaxis(counts, 0, -1)  # (B, cells, cells, DIRECTIONS)
    parts = [
        histogram[:, i : i + 2, j : j + 2].reshape(len(x), -1)
        for i in range(max(1, cells[0] - 1))
        for j in range(max(1, cells[1] - 1))
    ]
    unit = [part / np.sqrt((part**2).sum(1, keepdims=True) + 1e-6) for part in parts]
    return np.concatenate(unit, 1).astype(np.float32)


def _edges(size: int, count: int) -> NDArray[np.int64]:
    """Cut an axis into at most `count` pieces of nearly one length: where each begins."""
    count = min(count, size)
    return np.arange(count) * size // count
