"""How sure a metric is: its 95 % interval by the bootstrap, samples drawn again with replacement.

Metrics are computed for many resamples at once, from weights (N, R): how often each sample was drawn in each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchdog.evaluation.per_sample import Records

Array = NDArray[Any]
Values = dict[str, Array]
Interval = tuple[float, float]

MOST, FEWEST = 1000, 200
"""Resamples of a small split and of a very large one."""
WORK = 5_000_000
"""Draws (samples x resamples) that are aimed at in between: about a second."""
PIECE = 2_000_000
"""Weights that are held at once: 8 MB."""
TAIL = 0.025
FEWEST_WHOLE = 100
"""Resamples with every class that an interval of a mean over classes needs."""
OVER_CLASSES = {"macro_f1", "roc_auc", "average_precision", "mean_average_precision", "map", "iou", "dice"}
"""Metrics that are means over classes, or have no value without one of them."""


def resamples(samples: int) -> int:
    """Choose how many resamples are drawn."""
    return max(FEWEST, min(MOST, WORK // max(samples, 1)))


def drawn(samples: int, times: int, seed: int) -> Iterator[Array]:
    """Yield weights (N, R) float32, piece by piece until there were `times` resamples."""
    draw = np.random.default_rng(seed)
    step = max(1, min(times, PIECE // max(samples, 1)))
    for start in range(0, times, step):
        some = min(step, times - start)
        flat = draw.integers(0, samples, (some, samples)) + np.arange(some)[:, None] * samples
        counts = np.bincount(flat.ravel(), minlength=some * samples).reshape(some, samples)
        yield np.ascontiguousarray(counts.T, np.float32)


def bootstrap(records: Records, seed: int = 0) -> Values:
    """Give each metric's values over the resamples, (R,) each.

    A mean over classes is taken of the resamples that have every class of the split: without the rare ones, which are
    often the worst, it would be another, larger figure. With too few of such resamples it has no values.
    """
    pieces: dict[str, list[Array]] = {}
    for weights in drawn(len(records), resamples(len(records)), seed):
        whole = _has_every_class(records, weights)
        for name, values in weighted(records, weights).items():
            pieces.setdefault(name, []).append(values[whole] if name in OVER_CLASSES else values)
    for name in OVER_CLASSES & pieces.keys():
        if sum(map(len, pieces[name])) < FEWEST_WHOLE:
            pieces[name] = [np.full(1, np.nan)]
    return {name: np.concatenate(values) for name, values in pieces.items()}


def _has_every_class(records: Records, weights: Array) -> Array:
    """Say which resamples (R,) hold each class, or a true case of each label, that the samples hold."""
    if records.kind == "class" and "target" in records:
        there = _grouped(weights, records["target"], 1 + int(records["target"].max()))
    elif records.kind == "labels" and "truth" in records:
        there = _sum(weights, records["truth"].astype(np.float32)).T
    elif records.kind == "mask" and "rows" in records:
        there = _sum(weights, (records["rows"] > 0).astype(np.float32)).T
    else:
        return np.ones(weights.shape[1], bool)
    met = there.any(1)
    return np.asarray((there[met] > 0).all(0))


def interval(values: Array) -> Interval | None:
    """Give the middle 95 % of a metric's values; None when it often can't be computed."""
    known = values[np.isfinite(values)]
    if len(known) < 0.95 * len(values) or len(known) < 2:
        return None
    low, high = np.quantile(known, [TAIL, 1 - TAIL])
    return float(low), float(high)


def point(records: Records) -> dict[str, float]:
    """Give the metrics of the records as they are."""
    return {name: float(v[0]) for name, v in weighted(records, np.ones((len(records), 1), np.float32)).items()}


def weighted(records: Records, weights: Array) -> Values:
    """Compute the metrics that the records allow under weights (N, R): (R,) each, nan where there is none."""
    with np.errstate(all="ignore"):
        values = {"loss": _sum(weights, records["loss"]) / _sum(weights, records["weight"])}
        values |= _KINDS.get(records.kind, _nothing)(records, weights, values["loss"])
        if "gap" in records and "judged" in records:
            judged = _sum(weights, records["judged"])
            values["calibration.ece"] = np.abs(_sum(weights, records["gap"])).sum(-1) / judged
            if "squared" in records:
                values["calibration.brier"] = _sum(weights, records["squared"]) / judged
    return values


# --- by kind of target -----------------------------------------------------------------------------


def _sum(weights: Array, column: Array) -> Array:
    """Add up a column (N, ...) under the weights: (R, ...). What isn't finite counts wherever it was drawn."""
    bad = ~np.isfinite(column)
    if not bad.any():
        return np.asarray(weights.T.astype(np.float64) @ column)
    total = weights.T.astype(np.float64) @ np.where(bad, 0.0, column)
    return np.asarray(np.where(weights.T @ bad.astype(np.float32) > 0, np.nan, total))


def _nothing(records: Records, weights: Array, loss: Array) -> Values:
    return {}


def _classes(records: Records, weights: Array, loss: Array) -> Values:
    if "answered" not in records:
        return {}
    answered, target = records["answered"], records["target"]
    total = weights.sum(0, dtype=np.float64)
    count = 1 + int(max(answered.max(), target.max()))
    right = _grouped(weights, np.where(answered == target, target, count), count + 1)[:count]
    rows, called = _grouped(weights, target, count), _grouped(weights, answered, count)
    values = {"accuracy": right.sum(0) / total, "macro_f1": _mean_ratio(2 * right, rows + called)}
    if "score" in records and records["score"].ndim == 2:
        score = records["score"].astype(np.float64)
        if score.shape[1] == 2:
            values["roc_auc"] = ranked(score[:, 1] - score[:, 0], target == 1, weights)[0]
        elif score.shape[1] > 2:
            score = np.exp(score - score.max(1, keepdims=True))
            score = (score / score.sum(1, keepdims=True)).astype(np.float32)
            values["roc_auc"] = _mean_known(
                [ranked(score[:, k], target == k, weights)[0] for k in range(score.shape[1])]
            )
    return values


def _labels(records: Records, weights: Array, loss: Array) -> Values:
    if "chance" not in records:
        return {}
    chance, truth = records["chance"], records["truth"]
    said = chance >= 0.5
    hits, there, called = (_sum(weights, x.astype(np.float32)) for x in (said & truth, truth, said))  # (R, K)
    total = weights.sum(0, dtype=np.float64)
    pairs = [ranked(chance[:, k], truth[:, k], weights) for k in range(chance.shape[1])]
    wrong = _sum(weights, (said != truth).mean(1)) / total
    precise = _mean_known([average for _, average in pairs])
    exact = _sum(weights, (said == truth).all(1).astype(np.float32)) / total
    return {
        "micro_f1": 2 * hits.sum(1) / (there + called).sum(1),
        "macro_f1": _mean_ratio(2 * hits.T, (there + called).T),
        "roc_auc": _mean_known([auc for auc, _ in pairs]),
        **dict.fromkeys(("average_precision", "mean_average_precision", "map"), precise),
        **dict.fromkeys(("exact_match", "subset_accuracy"), exact),
        **dict.fromkeys(("hamming", "hamming_loss"), wrong),
    }


def _numbers(records: Records, weights: Array, loss: Array) -> Values:
    if "said" not in records:
        return {}
    true = records["true"] - records["true"].mean(0)  # around the mean: a target far from zero loses no digits
    error = records["said"] - records["true"]
    total = weights.sum(0, dtype=np.float64)[:, None]
    squared = _sum(weights, np.square(error))  # (R, targets)
    spread = _sum(weights, np.square(true)) - np.square(_sum(weights, true)) / total
    fits = np.where(spread > 0, 1 - squared / spread, (squared == 0).astype(np.float64))
    columns = {"mae": _sum(weights, np.abs(error)) / total, "rmse": np.sqrt(squared / total), "r2": fits}
    return {name: column.mean(1) for name, column in columns.items()}


def _masks(records: Records, weights: Array, loss: Array) -> Values:
    if "rows" not in records:
        return {}
    right, rows, called = (_sum(weights, records[name]).T for name in ("right", "rows", "called"))  # (classes, R)
    both = rows + called
    return {
        "iou": _mean_ratio(right[1:], (both - right)[1:], both[1:] > 0),
        "dice": _mean_ratio(2 * right[1:], both[1:]),
        "pixel_accuracy": right.sum(0) / rows.sum(0),
    }


def _tokens(records: Records, weights: Array, loss: Array) -> Values:
    if "tokens" not in records:
        return {"perplexity": np.exp(loss)}
    right = _sum(weights, records["right"]) / _sum(weights, records["tokens"])
    return {"perplexity": np.exp(loss), "accuracy": right}


_KINDS: dict[str, Callable[[Records, Array, Array], Values]] = {
    "class": _classes,
    "labels": _labels,
    "number": _numbers,
    "mask": _masks,
    "next-token": _tokens,
}


# --- arithmetic ------------------------------------------------------------------------------------


def _grouped(weights: Array, codes: Array, count: int) -> Array:
    """Add up the weights of each code: (count, R)."""
    order = np.argsort(codes, kind="stable")
    ordered = codes[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    out = np.zeros((count, weights.shape[1]))
    out[ordered[starts]] = np.add.reduceat(weights[order], starts, axis=0)
    return out


def _mean_ratio(part: Array, whole: Array, met: Array | None = None) -> Array:
    """Give the mean over classes of part / whole, (classes, R) each, as far as they were met; 0 when none was."""
    met = whole > 0 if met is None else met
    ratios = np.where(met, part / np.maximum(whole, 1e-300), 0.0)
    return np.asarray(ratios.sum(0) / np.maximum(met.sum(0), 1))


def _mean_known(columns: list[Array]) -> Array:
    stacked = np.stack(columns)
    known = np.isfinite(stacked)
    return np.asarray(np.where(known, stacked, 0.0).sum(0) / known.sum(0))


def ranked(score: Array, positive: Array, weights: Array) -> tuple[Array, Array]:
    """Give the area under the ROC curve and the average precision, (R,) each; nan where one side is missing.

    Args:
        score: (N,), higher for what is likelier.
        positive: (N,), whether it is so.
        weights: (N, R).
    """
    if not np.isfinite(score).all():
        nothing = np.full(weights.shape[1], np.nan)
        return nothing, nothing
    order = np.argsort(-score, kind="stable")
    ordered, so = score[order], positive[order]
    new = np.r_[True, ordered[1:] != ordered[:-1]]  # a group: equal scores
    group = np.cumsum(new) - 1
    sided = np.zeros(group[-1] + 1, bool)
    sided[group[so]] = True
    # Neighbouring groups without a positive one are as good as one: that leaves few rows where classes lie apart.
    first = np.flatnonzero(new)
    merged = first[np.r_[True, sided[1:] | sided[:-1]]]
    moved = weights[order]
    hits = np.add.reduceat(np.where(so[:, None], moved, np.float32(0)), merged, axis=0)
    every = np.add.reduceat(moved, merged, axis=0).astype(np.float64)
    misses = every - hits
    all_hits, all_misses = hits.sum(0, dtype=np.float64), misses.sum(0)
    below = all_misses - misses.cumsum(0) + misses / 2  # ties count half
    precision = hits.cumsum(0, dtype=np.float64) / np.maximum(every.cumsum(0), 1e-300)
    with np.errstate(all="ignore"):
        area = (hits * below).sum(0) / (all_hits * all_misses)
        return area, (hits * precision).sum(0) / all_hits
