"""What a threshold on a probability trades: precision for recall, found ones for false alarms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
POINTS = 200
"""Points of a curve that are kept: more than a picture shows."""


def curves(chance: Array, truth: Array, names: Sequence[str]) -> list[dict[str, Any]]:
    """Give a line per statement: its curves and its best threshold, in JSON form.

    Args:
        chance: (N, K) probabilities; an answer is yes when its probability is at least the threshold.
        truth: (N, K), whether each is so.
        names: of the K statements.

    Returns:
        class; positives, their number; roc, [false alarms, found] and pr, [recall, precision], each as shares;
        best, the threshold of the highest F1 with what it reaches. A statement that is true of none or all has no
        curves.
    """
    lines = []
    for k, name in enumerate(names):
        line: dict[str, Any] = {"class": name, "positives": int(truth[:, k].sum())}
        if 0 < line["positives"] < len(truth) and np.isfinite(chance[:, k]).all():
            line |= _curve(chance[:, k].astype(np.float64), truth[:, k])
        lines.append(line)
    return lines


def at(chance: Array, truth: Array, threshold: float) -> dict[str, float]:
    """Give precision, recall and F1 of one statement, (N,) each, at a threshold."""
    said = chance >= threshold
    hits, called, there = int((said & truth).sum()), int(said.sum()), int(truth.sum())
    return {
        "threshold": threshold,
        "precision": hits / called if called else 0.0,
        "recall": hits / there if there else 0.0,
        "f1": 2 * hits / (called + there) if called + there else 0.0,
    }


def _curve(chance: Array, truth: Array) -> dict[str, Any]:
    order = np.argsort(-chance, kind="stable")
    ordered = chance[order]
    last = np.flatnonzero(np.r_[ordered[1:] != ordered[:-1], True])  # equal probabilities fall together
    hits = truth[order].cumsum()[last]
    called = last + 1
    positives, negatives = hits[-1], len(truth) - hits[-1]
    found, alarms, precision = hits / positives, (called - hits) / negatives, hits / called
    best = int((2 * hits / (called + positives)).argmax())
    # Halfway to the next lower probability, so that rounding decides nothing.
    below = ordered[last[best + 1]] if best + 1 < len(last) else ordered[last[best]]
    threshold = float((ordered[last[best]] + below) / 2)
    if not below < threshold:
        threshold = float(ordered[last[best]])
    roc = np.stack([np.r_[0.0, alarms], np.r_[0.0, found]], 1)
    pr = np.stack([found, precision], 1)
    return {"roc": _thinned(roc), "pr": _thinned(pr), "best": at(chance, truth, threshold)}


def _thinned(points: Array) -> list[list[float]]:
    """Keep points evenly along the curve's length, both ends among them."""
    if len(points) > POINTS:
        length = np.r_[0.0, np.abs(np.diff(points, axis=0)).sum(1).cumsum()]
        places = np.searchsorted(length, np.linspace(0, length[-1], POINTS))
        points = points[np.unique(np.r_[0, np.minimum(places, len(points) - 1), len(points) - 1])]
    return [[round(float(x), 6), round(float(y), 6)] for x, y in points]
