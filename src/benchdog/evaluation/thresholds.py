"""Decision thresholds: ROC and precision-recall curves, and the threshold of the highest F1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchdog.evaluation.results import ThresholdCurve, ThresholdMetrics

Array = NDArray[Any]
POINTS = 200
"""Points of a curve that are kept: more than a plot shows."""


def curves(chance: Array, truth: Array, names: Sequence[str]) -> list[ThresholdCurve]:
    """Compute each statement's curves and its best threshold, in JSON form.

    Args:
        chance: (N, K) probabilities; a statement is predicted when its probability is at least the threshold.
        truth: (N, K), whether each is true.
        names: of the K statements.

    Returns:
        class; positives, their number; roc, [false positive rate, true positive rate], and pr, [recall, precision];
        best, the threshold of the highest F1 with its metrics. A statement that is true of no sample or of all
        has no curves.
    """
    lines = []
    for k, name in enumerate(names):
        line: ThresholdCurve = {"class": name, "positives": int(truth[:, k].sum())}
        if 0 < line["positives"] < len(truth) and np.isfinite(chance[:, k]).all():
            line |= _curve(chance[:, k].astype(np.float64), truth[:, k])
        lines.append(line)
    return lines


def at(chance: Array, truth: Array, threshold: float) -> ThresholdMetrics:
    """Compute precision, recall and F1 of one statement, (N,) each, at a threshold."""
    positive = chance >= threshold
    hits, predicted, actual = int((positive & truth).sum()), int(positive.sum()), int(truth.sum())
    return {
        "threshold": threshold,
        "precision": hits / predicted if predicted else 0.0,
        "recall": hits / actual if actual else 0.0,
        "f1": 2 * hits / (predicted + actual) if predicted + actual else 0.0,
    }


def _curve(chance: Array, truth: Array) -> ThresholdCurve:
    order = np.argsort(-chance, kind="stable")
    ordered = chance[order]
    last = np.flatnonzero(np.r_[ordered[1:] != ordered[:-1], True])  # no threshold divides equal probabilities
    hits = truth[order].cumsum()[last]
    predicted = last + 1
    positives, negatives = hits[-1], len(truth) - hits[-1]
    recall, false_rate, precision = hits / positives, (predicted - hits) / negatives, hits / predicted
    best = int((2 * hits / (predicted + positives)).argmax())
    # Halfway to the next lower probability, so that rounding decides nothing.
    below = ordered[last[best + 1]] if best + 1 < len(last) else ordered[last[best]]
    threshold = float((ordered[last[best]] + below) / 2)
    if not below < threshold:
        threshold = float(ordered[last[best]])
    roc = np.stack([np.r_[0.0, false_rate], np.r_[0.0, recall]], 1)
    pr = np.stack([recall, precision], 1)
    return {"roc": _thinned(roc), "pr": _thinned(pr), "best": at(chance, truth, threshold)}


def _thinned(points: Array) -> list[list[float]]:
    """Keep points evenly along the curve's length, including both ends."""
    if len(points) > POINTS:
        length = np.r_[0.0, np.abs(np.diff(points, axis=0)).sum(1).cumsum()]
        kept = np.searchsorted(length, np.linspace(0, length[-1], POINTS))
        points = points[np.unique(np.r_[0, np.minimum(kept, len(points) - 1), len(points) - 1])]
    return [[round(float(x), 6), round(float(y), 6)] for x, y in points]
