"""Average precision as COCO defines it: matching per image, precision interpolated at 101 recalls."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchdog_detection.boxes import iou

Array = NDArray[Any]

THRESHOLDS = np.linspace(0.5, 0.95, 10)
"""IoU from which a detection is right: COCO's mAP is the mean over these."""
RECALLS = np.linspace(0.0, 1.0, 101)
MOST = 100
"""Detections per image and class that count."""
WORK = 200_000_000
"""Detections x resamples x thresholds beyond which there are no confidence intervals."""


def match(detections: Array, truth: Array) -> Array:
    """Return which detections of one image are right at each of the IoU thresholds: (n, 10) bool.

    Each detection, in the order of its probability, takes the unmatched box of its class that it overlaps most.

    Args:
        detections: (n, 6), the likeliest first: box, probability, class code.
        truth: (m, 5): box, class code.
    """
    right = np.zeros((len(detections), len(THRESHOLDS)), bool)
    for code in np.unique(truth[:, 4]):
        rows, boxes = np.flatnonzero(detections[:, 5] == code), truth[truth[:, 4] == code, :4]
        overlaps = iou(detections[rows, :4], boxes)
        free = np.ones((len(THRESHOLDS), len(boxes)), bool)
        for row, overlap in zip(rows, overlaps, strict=True):
            reached = np.where(free & (overlap >= np.minimum(THRESHOLDS, 1 - 1e-10)[:, None]), overlap, -1.0)
            best = len(boxes) - 1 - reached[:, ::-1].argmax(1)  # of equal ones the last, as COCO's tool does
            at = np.flatnonzero(reached.max(1) >= 0)
            right[row, at] = True
            free[at, best[at]] = False
    return right


def within_limit(detections: Array) -> Array:
    """Return the likeliest MOST detections (n, 6) of each class of one image; they are in order."""
    kept = np.ones(len(detections), bool)
    for code in np.unique(detections[:, 5]):
        kept[np.flatnonzero(detections[:, 5] == code)[MOST:]] = False
    return np.asarray(detections[kept])


def average_precision(found: Array, right: Array, weights: Array, positives: Array) -> Array:
    """Return the average precision of a class under R weightings: (R,); nan where it has no boxes.

    Args:
        found: probabilities of the detections (D,).
        right: whether each is right at one threshold, (D,).
        weights: how often each counts, (D, R).
        positives: boxes of the class, (R,).
    """
    order = np.argsort(-found, kind="stable")
    right, weights = right[order], weights[order]
    values = np.full(len(positives), np.nan)
    for r in np.flatnonzero(positives > 0):
        weight = weights[:, r].astype(np.float64)
        counted = weight > 0
        total, true = np.cumsum(weight[counted]), np.cumsum((weight * right)[counted])
        precision = np.maximum.accumulate((true / total)[::-1])[::-1]
        place = np.searchsorted(true / positives[r], RECALLS, side="left")
        reached = place < len(precision)
        values[r] = precision[place[reached]].sum() / len(RECALLS)
    return values
