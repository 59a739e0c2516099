"""Whether probabilities mean what they say: of what is called 80 % sure, are four in five so?"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

BINS = 15
"""Equal parts of [0, 1], as is usual for the expected calibration error."""
SLACK = 1e-3


def in_range(answer: Array) -> bool:
    """Say whether all answers can be probabilities."""
    return bool(answer.dtype.kind == "f" and answer.size and (answer >= -SLACK).all() and (answer <= 1 + SLACK).all())


def are_shares(answer: Array) -> bool:
    """Say whether answers (..., classes) are probabilities that add up to one."""
    return in_range(answer) and bool((np.abs(answer.sum(-1) - 1) <= SLACK).all())


def per_sample(chance: Array, truth: Array, squared: Array | None) -> dict[str, Array]:
    """Count probabilities by bins.

    Args:
        chance: (N, J) probabilities of each sample, J statements about it.
        truth: (N, J), whether each came true.
        squared: (N,) sums of squared errors, the Brier score's numerator.

    Returns:
        gap (N, BINS), float32: by bin the sum of truth - probability, whose absolute values make up the calibration
        error; squared and judged (N,): the sum of squared errors and J; bins (3, BINS): how many, the sums of their
        probabilities, how many came true.
    """
    count, statements = chance.shape
    sure = chance.astype(np.float64)
    place = np.clip((sure * BINS).astype(np.int64), 0, BINS - 1)
    flat = (place + np.arange(count)[:, None] * BINS).ravel()
    gap = np.bincount(flat, (truth - sure).ravel(), minlength=count * BINS).reshape(count, BINS)
    bins = [np.bincount(place.ravel(), w, minlength=BINS) for w in (None, sure.ravel(), truth.ravel().astype(float))]
    told = {"gap": gap.astype(np.float32), "judged": np.full(count, float(statements)), "bins": np.stack(bins)}
    return told if squared is None else {**told, "squared": np.asarray(squared, np.float64)}


def summary(bins: Array, squared: float, judged: float) -> dict[str, Any]:
    """Give the reliability curve, the expected calibration error and the Brier score, in JSON form.

    The curve has a line for each bin that holds anything: from, to, count, the mean probability (said) and the part
    that came true (true). The error is their mean distance, weighted by count. The Brier score is the mean squared
    error: over both classes halved for two, summed over classes for more (0 to 2), per label for several labels.
    """
    counts, said, true = bins
    total = max(float(counts.sum()), 1.0)
    curve = [
        {
            "from": i / BINS,
            "to": (i + 1) / BINS,
            "count": int(counts[i]),
            "said": float(said[i] / counts[i]),
            "true": float(true[i] / counts[i]),
        }
        for i in np.flatnonzero(counts)
    ]
    return {"ece": float(np.abs(true - said).sum() / total), "brier": squared / max(judged, 1.0), "curve": curve}
