"""Boxes in numpy: overlap and non-maximum suppression. Boxes are x1, y1, x2, y2 in pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

PADDING = -1.0
"""What fills the rows of targets and predictions that hold no box."""


def iou(a: Array, b: Array) -> Array:
    """Return the intersection over union of boxes (n, 4) and (m, 4): (n, m) float64."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    low, high = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = np.prod(np.clip(high - low, 0, None), -1)
    areas = [np.prod(x[:, 2:] - x[:, :2], -1) for x in (a, b)]
    union = areas[0][:, None] + areas[1][None] - shared
    return np.asarray(np.where(union > 0, shared / np.where(union > 0, union, 1.0), 0.0))


def detections(prediction: Array, overlap: float) -> Array:
    """Return the detections of one image, the likeliest first: (n, 6) of box, probability and class code.

    Args:
        prediction: what the head returns, (K, 6), padded with rows of -1.
        overlap: IoU above which the less probable of two boxes of a class is dropped.
    """
    found = prediction[(prediction != PADDING).any(-1)]
    found = found[np.argsort(-found[:, 4], kind="stable")]
    over = (iou(found[:, :4], found[:, :4]) > overlap) & (found[:, None, 5] == found[None, :, 5])
    kept = np.ones(len(found), bool)
    for row in np.flatnonzero(over.sum(1) > 1):
        if kept[row]:
            kept[row + 1 :] &= ~over[row, row + 1 :]
    return np.asarray(found[kept])
