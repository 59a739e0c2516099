"""Calibration: reliability curve, expected calibration error and Brier score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from benchdog.api import Metric, Spec

Array = NDArray[Any]

BINS = 15
"""Equal parts of [0, 1], as is usual for the expected calibration error."""
SLACK = 1e-3

ECE = Metric(
    name="calibration.ece", label="calibration error", better="min", range=(0, 1),
    needs=("calibration.gap", "calibration.statements"),
    value=lambda s: np.abs(s["calibration.gap"]).sum(-1) / s["calibration.statements"],
)  # fmt: skip
BRIER = Metric(
    name="calibration.brier", label="Brier score", better="min", range=(0, 2),
    needs=("calibration.squared", "calibration.statements"),
    value=lambda s: s["calibration.squared"] / s["calibration.statements"],
)  # fmt: skip
METRICS = (ECE, BRIER)


Bin = TypedDict("Bin", {"from": float, "to": float, "count": int, "said": float, "true": float})
"""A bin of the reliability curve: edges, mean predicted probability (said), observed frequency (true)."""


class Calibration(TypedDict, total=False):
    """Calibration in JSON form."""

    ece: float
    brier: float
    curve: list[Bin]
    intervals: dict[str, list[float]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Statements:
    """Probabilities of a batch: J statements about each sample.

    Attributes:
        chance: (B, J) probabilities.
        truth: (B, J), whether each statement is true.
        squared: (B,) sums of squared errors, the Brier score's numerator.
        curve: (B, K) probabilities of the statements that have ROC and precision-recall curves; None for none.
        curve_truth: (B, K), whether each of these is true.
    """

    chance: Array
    truth: Array
    squared: Array
    curve: Array | None = None
    curve_truth: Array | None = None


def statements(prediction: Array, score: Array, target: Array, spec: Spec) -> Statements | None:
    """Return the probabilities that a batch's predictions state, and whether they are true; None for others."""
    kinds = {"class": _class, "labels": _labels, "next-token": _tokens}
    of_kind = kinds.get(spec.target.kind)
    return of_kind(prediction, score, target, spec.classes) if of_kind else None


def _class(prediction: Array, score: Array, target: Array, classes: int) -> Statements | None:
    """One statement a sample: that it is of the predicted class."""
    if target.ndim != 1 or prediction.shape != (len(target), classes) or not are_shares(prediction):
        return None
    predicted = (score if score.shape == prediction.shape else prediction).argmax(1)
    rows = np.arange(len(target))
    actual = np.zeros(prediction.shape, np.float64)
    actual[rows, target.astype(np.int64)] = 1
    squared = np.square(prediction - actual).sum(1)
    binary = classes == 2
    return Statements(
        chance=prediction[rows, predicted][:, None],
        truth=(predicted == target)[:, None],
        squared=squared / 2 if binary else squared,
        curve=prediction[:, 1:].astype(np.float32) if binary else None,
        curve_truth=(target == 1)[:, None] if binary else None,
    )


def _labels(prediction: Array, score: Array, target: Array, classes: int) -> Statements | None:
    """A statement for each label: that it is true."""
    if prediction.ndim != 2 or prediction.shape != target.shape or not in_range(prediction):
        return None
    truth = target > 0.5
    return Statements(
        chance=prediction,
        truth=truth,
        squared=np.square(prediction - truth).sum(1),
        curve=prediction.astype(np.float32),
        curve_truth=truth,
    )


def _tokens(prediction: Array, score: Array, target: Array, classes: int) -> Statements | None:
    """A statement for each position: that the predicted token comes next."""
    if score.ndim != 3 or score.shape[:2] != target.shape or prediction.shape != score.shape:
        return None
    if target.size and (target.min() < 0 or target.max() >= classes):
        return None  # ignored tokens
    if not are_shares(prediction):
        return None
    predicted = score.argmax(-1)
    right = np.take_along_axis(prediction, target[..., None].astype(np.int64), -1)[..., 0]
    return Statements(
        chance=np.take_along_axis(prediction, predicted[..., None], -1)[..., 0],
        truth=predicted == target,
        squared=(np.square(prediction).sum(-1) - 2 * right + 1).sum(1),
    )


def in_range(prediction: Array) -> bool:
    """Whether all predictions can be probabilities."""
    within = prediction.dtype.kind == "f" and prediction.size
    return bool(within and (prediction >= -SLACK).all() and (prediction <= 1 + SLACK).all())


def are_shares(prediction: Array) -> bool:
    """Whether predictions (..., classes) are probabilities that sum to one."""
    return in_range(prediction) and bool((np.abs(prediction.sum(-1) - 1) <= SLACK).all())


def per_sample(stated: Statements) -> dict[str, Array]:
    """Count probabilities by bins.

    Returns:
        gap (N, BINS), float32: by bin the sum of truth - probability, whose absolute values make up the calibration
        error; squared (N,); statements (N,): their number J; bins (3, BINS): the count, the sums of probabilities,
        the number that are true.
    """
    count, number = stated.chance.shape
    chance = stated.chance.astype(np.float64)
    place = np.clip((chance * BINS).astype(np.int64), 0, BINS - 1)
    flat = (place + np.arange(count)[:, None] * BINS).ravel()
    gap = np.bincount(flat, (stated.truth - chance).ravel(), minlength=count * BINS).reshape(count, BINS)
    truth = stated.truth.ravel().astype(float)
    bins = [np.bincount(place.ravel(), w, minlength=BINS) for w in (None, chance.ravel(), truth)]
    return {
        "gap": gap.astype(np.float32),
        "squared": np.asarray(stated.squared, np.float64),
        "statements": np.full(count, float(number)),
        "bins": np.stack(bins),
    }


def summary(bins: Array, squared: float, statements: float) -> Calibration:
    """Return the reliability curve, the expected calibration error and the Brier score, in JSON form.

    The curve has a line for each bin that isn't empty: from, to, count, the mean probability (said) and the observed
    frequency (true). The error is their mean distance, weighted by count. The Brier score is the mean squared error:
    over both classes halved for two, summed over classes for more (0 to 2), per label for several labels.
    """
    counts, chances, true = bins
    total = max(float(counts.sum()), 1.0)
    curve: list[Bin] = [
        {
            "from": i / BINS,
            "to": (i + 1) / BINS,
            "count": int(counts[i]),
            "said": float(chances[i] / counts[i]),
            "true": float(true[i] / counts[i]),
        }
        for i in np.flatnonzero(counts)
    ]
    return {
        "ece": float(np.abs(true - chances).sum() / total),
        "brier": squared / max(statements, 1.0),
        "curve": curve,
    }
