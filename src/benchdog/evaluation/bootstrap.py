"""Bootstrap confidence intervals: samples drawn again with replacement, 95 % of the resampled values.

Metrics are computed for many resamples at once, from weights (N, R): how often each sample was drawn in each.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchdog.api import Metric, Statistics, compute_metrics
from benchdog.evaluation.per_sample import Records

Array = NDArray[Any]
Values = dict[str, Array]

MOST, FEWEST = 1000, 200
"""Resamples of a small split and of a very large one."""
WORK = 5_000_000
"""Draws (samples x resamples) to aim at in between: about a second."""
CHUNK = 2_000_000
"""Weights that are held at once: 8 MB."""
TAIL = 0.025
FEWEST_COMPLETE = 100
"""Resamples with every class that an interval of a mean over classes needs."""


def resample_count(samples: int) -> int:
    """Choose the number of resamples."""
    return max(FEWEST, min(MOST, WORK // max(samples, 1)))


def resample_weights(samples: int, times: int, seed: int) -> Iterator[Array]:
    """Yield weights (N, R) float32 in chunks, `times` resamples in all."""
    draw = np.random.default_rng(seed)
    step = max(1, min(times, CHUNK // max(samples, 1)))
    for start in range(0, times, step):
        some = min(step, times - start)
        flat = draw.integers(0, samples, (some, samples)) + np.arange(some)[:, None] * samples
        counts = np.bincount(flat.ravel(), minlength=some * samples).reshape(some, samples)
        yield np.ascontiguousarray(counts.T, np.float32)


def bootstrap(records: Records, metrics: Sequence[Metric], seed: int = 0) -> Values:
    """Return each metric's values over the resamples, (R,) each.

    A mean over classes only uses the resamples that have every class of the split: without the rare classes, often
    the worst, it would be another, larger figure. With too few of such resamples it has no values.
    """
    chunks: dict[str, list[Array]] = {}
    over_classes = {metric.name for metric in metrics if metric.over_classes}
    occurring = records.statistics(np.ones((len(records), 1), np.float32)).get("support")
    for weights in resample_weights(len(records), resample_count(len(records)), seed):
        statistics = records.statistics(weights)
        complete = _has_every_class(statistics, occurring)
        for name, values in evaluate_metrics(metrics, statistics).items():
            chunks.setdefault(name, []).append(values[complete] if name in over_classes else values)
    for name in over_classes & chunks.keys():
        if sum(map(len, chunks[name])) < FEWEST_COMPLETE:
            chunks[name] = [np.full(1, np.nan)]
    return {name: np.concatenate(values) for name, values in chunks.items()}


def _has_every_class(statistics: Statistics, occurring: Array | None) -> Array:
    """Return which resamples (R,) hold each class that occurs in the samples."""
    if occurring is None:
        return np.ones(len(statistics["samples"]), bool)
    return np.asarray((statistics["support"][:, occurring[0] > 0] > 0).all(1))


def evaluate_metrics(metrics: Sequence[Metric], statistics: Statistics) -> Values:
    """Compute the metrics that the statistics allow: (R,) each, nan where one is undefined."""
    with np.errstate(all="ignore"):
        return compute_metrics(metrics, statistics)


def point(records: Records, metrics: Sequence[Metric]) -> dict[str, float]:
    """Compute the metrics of the samples as they are."""
    statistics = records.statistics(np.ones((len(records), 1), np.float32))
    return {name: float(value[0]) for name, value in evaluate_metrics(metrics, statistics).items()}


def interval(values: Array) -> tuple[float, float] | None:
    """Return the middle 95 % of a metric's values; None when it is often undefined."""
    known = values[np.isfinite(values)]
    if len(known) < 0.95 * len(values) or len(known) < 2:
        return None
    low, high = np.quantile(known, [TAIL, 1 - TAIL])
    return float(low), float(high)
