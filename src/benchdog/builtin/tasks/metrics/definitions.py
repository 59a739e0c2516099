"""The metrics of the built-in tasks: formulas over statistics, see `benchdog.api.Metric`.

Statistics by class, all (R, classes): `right` (predicted and so), `support` (actual) and `predicted` count samples,
pixels, tokens or labels. To add a metric, define it here, list it in a task, and describe it in
docs/reference/metrics.md.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchdog.api import Metric, Statistics

Array = NDArray[Any]
BY_CLASS = ("right", "support", "predicted")
RANKING = ("ranking", "ranking_truth", "weights")


# --- arithmetic


def ratio(part: Array, whole: Array) -> Array:
    """Divide, returning 0 where there is nothing to divide by."""
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1), 0.0)


def mean_over_classes(values: Array, present: Array) -> Array:
    """Average (R, classes) over the classes that are present, (R, classes) bool; 0 where none is."""
    return np.asarray(np.where(present, values, 0.0).sum(-1) / np.maximum(present.sum(-1), 1))


def mean_of_known(columns: list[Array]) -> Array:
    """Average arrays (R,) where they are finite; nan where none is."""
    stacked = np.stack(columns)
    known = np.isfinite(stacked)
    return np.asarray(np.where(known, stacked, 0.0).sum(0) / known.sum(0))


def rank_metrics(score: Array, positive: Array, weights: Array) -> tuple[Array, Array]:
    """Compute the area under the ROC curve and the average precision, (R,) each; nan where one side is missing.

    Ties count half in the area; a threshold is below all equal scores.

    Args:
        score: (N,), higher for what is more likely positive.
        positive: (N,) bool.
        weights: (N, R), how often each sample counts.
    """
    if not np.isfinite(score).all():
        undefined = np.full(weights.shape[1], np.nan)
        return undefined, undefined
    order = np.argsort(-score, kind="stable")
    ordered, actual = score[order], positive[order]
    new = np.r_[True, ordered[1:] != ordered[:-1]]  # a group: equal scores
    group = np.cumsum(new) - 1
    sided = np.zeros(group[-1] + 1, bool)
    sided[group[actual]] = True
    # Adjacent groups without a positive can be merged: few rows remain where the classes are well separated.
    first = np.flatnonzero(new)
    merged = first[np.r_[True, sided[1:] | sided[:-1]]]
    moved = weights[order]
    hits = np.add.reduceat(np.where(actual[:, None], moved, np.float32(0)), merged, axis=0).astype(np.float64)
    every = np.add.reduceat(moved, merged, axis=0).astype(np.float64)
    misses = every - hits
    all_hits, all_misses = hits.sum(0), misses.sum(0)
    below = all_misses - misses.cumsum(0) + misses / 2  # ties count half
    precision = hits.cumsum(0) / np.maximum(every.cumsum(0), 1e-300)
    with np.errstate(all="ignore"):
        area = (hits * below).sum(0) / (all_hits * all_misses)
        return area, (hits * precision).sum(0) / all_hits


def ranked_by_class(s: Statistics) -> tuple[list[Array], list[Array]]:
    """Compute ROC AUC and average precision of each column of the ranking scores."""
    columns = zip(s["ranking"].T, s["ranking_truth"].T, strict=True)
    pairs = [rank_metrics(score, truth, s["weights"]) for score, truth in columns]
    return [area for area, _ in pairs], [precision for _, precision in pairs]


def _averaged(columns: list[Array], s: Statistics) -> Array | None:
    """Average over classes; None where none of them has a value, though all scores are finite."""
    mean = mean_of_known(columns)
    return None if np.isnan(mean).all() and np.isfinite(s["ranking"]).all() else mean


# --- formulas


def f1_by_class(s: Statistics) -> Array:
    """Compute each class's F1: (R, classes)."""
    return ratio(2 * s["right"], s["support"] + s["predicted"])


def present(s: Statistics) -> Array:
    """Return which classes occur or were predicted, (R, classes) bool."""
    return np.asarray(s["support"] + s["predicted"] > 0)


def iou_by_class(s: Statistics) -> Array:
    """Compute each class's intersection over union: (R, classes)."""
    return ratio(s["right"], s["support"] + s["predicted"] - s["right"])


def _foreground(values: Array, s: Statistics) -> Array:
    """Average over the classes that are present, the first (the background) left out."""
    return mean_over_classes(values[:, 1:], present(s)[:, 1:])


def _micro_f1(s: Statistics) -> Array:
    return ratio(2 * s["right"].sum(-1), s["support"].sum(-1) + s["predicted"].sum(-1))


def _quadratic_kappa(s: Statistics) -> Array:
    """Compute Cohen's kappa with quadratic weights; 1 where all samples are of one class and predicted so."""
    ranks = np.arange(s["support"].shape[1], dtype=np.float64)
    squares = np.square(ranks[:, None] - ranks)
    chance = np.einsum("ri,ij,rj->r", s["support"], squares, s["predicted"])
    chance = chance / np.maximum(s["support"].sum(-1), 1)
    missed = s["squared_distance"]
    return np.asarray(np.where(chance > 0, 1 - missed / chance, missed == 0))


def r2_by_target(s: Statistics) -> Array:
    """Compute each target's R2: (R, targets). 1 or 0 for a constant target, as scikit-learn has it."""
    spread = s["target_squared"] - np.square(s["target"]) / s["samples"][:, None]
    return np.asarray(np.where(spread > 0, 1 - s["squared_error"] / spread, s["squared_error"] == 0))


def mae_by_target(s: Statistics) -> Array:
    """Compute each target's mean absolute error: (R, targets)."""
    return np.asarray(s["absolute_error"] / s["samples"][:, None])


def rmse_by_target(s: Statistics) -> Array:
    """Compute each target's root mean squared error: (R, targets)."""
    return np.asarray(np.sqrt(s["squared_error"] / s["samples"][:, None]))


def _bits(size: str) -> Any:
    """Return a formula that divides the total loss by a size of the text, in bits."""

    def value(s: Statistics) -> Array:
        total = s["loss"] / s["weight"] * s["weight"] / math.log(2)
        return np.asarray(total / np.where(s[size] > 0, s[size], 1.0))

    return value


# --- every target

LOSS = Metric(
    name="loss", needs=("loss", "weight"), better="min", weighted=True,
    value=lambda s: s["loss"] / s["weight"],
)  # fmt: skip

# --- classes

ACCURACY = Metric(
    name="accuracy", needs=("right", "support"), range=(0, 1), proportion=True,
    value=lambda s: ratio(s["right"].sum(-1), s["support"].sum(-1)),
)  # fmt: skip
MACRO_F1 = Metric(
    name="macro_f1", label="macro F1", needs=BY_CLASS, range=(0, 1), over_classes=True,
    value=lambda s: mean_over_classes(f1_by_class(s), present(s)),
)  # fmt: skip
ROC_AUC = Metric(
    name="roc_auc", label="ROC AUC", needs=RANKING, range=(0, 1), over_classes=True,
    value=lambda s: _averaged(ranked_by_class(s)[0], s),
)  # fmt: skip

# --- classes that have an order; their statistics by class are ordered by rank

RANK_MAE = Metric(
    name="mae", label="MAE", needs=("distance", "samples"), better="min", range=(0, math.inf),
    value=lambda s: s["distance"] / s["samples"],
)  # fmt: skip
QUADRATIC_KAPPA = Metric(
    name="quadratic_kappa", label="quadratic kappa", needs=(*BY_CLASS, "squared_distance"), range=(-1, 1),
    value=_quadratic_kappa,
)  # fmt: skip

# --- several labels

MICRO_F1 = Metric(name="micro_f1", label="micro F1", needs=BY_CLASS, range=(0, 1), value=_micro_f1)
EXACT_MATCH = Metric(
    name="exact_match", needs=("exact", "samples"), range=(0, 1), proportion=True,
    value=lambda s: s["exact"] / s["samples"],
)  # fmt: skip
HAMMING_LOSS = Metric(
    name="hamming_loss", label="Hamming loss", needs=("wrong", "labels"), better="min", range=(0, 1),
    value=lambda s: s["wrong"] / s["labels"],
)  # fmt: skip
MEAN_AVERAGE_PRECISION = Metric(
    name="mean_average_precision", needs=RANKING, range=(0, 1), over_classes=True,
    value=lambda s: _averaged(ranked_by_class(s)[1], s),
)  # fmt: skip

# --- numbers: means over the targets

MAE = replace(RANK_MAE, needs=("absolute_error", "samples"), value=lambda s: mae_by_target(s).mean(-1))
RMSE = Metric(
    name="rmse", label="RMSE", needs=("squared_error", "samples"), better="min", range=(0, math.inf),
    value=lambda s: rmse_by_target(s).mean(-1),
)  # fmt: skip
R2 = Metric(
    name="r2", label="R²", needs=("squared_error", "target", "target_squared", "samples"), range=(-math.inf, 1),
    value=lambda s: r2_by_target(s).mean(-1),
)  # fmt: skip

MSE = Metric(
    name="mse", label="MSE", needs=("squared_error", "samples"), better="min", range=(0, math.inf),
    value=lambda s: (s["squared_error"] / s["samples"][:, None]).mean(-1),
)  # fmt: skip

# --- images


def psnr(span: float) -> Metric:
    """Return the peak signal-to-noise ratio in dB, of the squared error of all values, where `span` is the peak."""

    def value(s: Statistics) -> Array:
        with np.errstate(divide="ignore"):
            return np.asarray(10 * np.log10(span**2 / (s["squared_error"] / s["samples"][:, None]).mean(-1)))

    return Metric(name="psnr", label="PSNR", needs=("squared_error", "samples"), value=value)


# --- masks, over all pixels together

IOU = Metric(
    name="iou", label="IoU", needs=BY_CLASS, range=(0, 1), over_classes=True,
    value=lambda s: _foreground(iou_by_class(s), s),
)  # fmt: skip
DICE = Metric(
    name="dice", label="Dice", needs=BY_CLASS, range=(0, 1), over_classes=True,
    value=lambda s: _foreground(f1_by_class(s), s),  # per class, Dice is F1
)  # fmt: skip
PIXEL_ACCURACY = replace(ACCURACY, name="pixel_accuracy", proportion=False)

# --- tokens

PERPLEXITY = replace(LOSS, name="perplexity", range=(1, math.inf), value=lambda s: np.exp(s["loss"] / s["weight"]))
BITS_PER_BYTE = replace(LOSS, name="bits_per_byte", needs=("loss", "weight", "bytes"), value=_bits("bytes"))
BITS_PER_CHARACTER = replace(
    LOSS, name="bits_per_character", needs=("loss", "weight", "characters"), value=_bits("characters")
)

# --- embeddings: neighbors are of the whole split, so that only the meter can compute them

RECALL_AT_1 = Metric(name="recall_at_1", label="recall@1", range=(0, 1))
RECALL_AT_5 = Metric(name="recall_at_5", label="recall@5", range=(0, 1))
MAP_AT_R = Metric(name="map_at_r", label="MAP@R", range=(0, 1))

# --- other names of these, by which tasks of third parties know them

ALIASES = (
    replace(EXACT_MATCH, name="subset_accuracy"),
    replace(HAMMING_LOSS, name="hamming"),
    replace(MEAN_AVERAGE_PRECISION, name="average_precision"),
    replace(MEAN_AVERAGE_PRECISION, name="map", label="MAP"),
)

CATALOG: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        LOSS, ACCURACY, MACRO_F1, ROC_AUC, RANK_MAE, QUADRATIC_KAPPA, MICRO_F1, EXACT_MATCH, HAMMING_LOSS,
        MEAN_AVERAGE_PRECISION, RMSE, R2, IOU, DICE, PIXEL_ACCURACY, PERPLEXITY, BITS_PER_BYTE, BITS_PER_CHARACTER,
        RECALL_AT_1, RECALL_AT_5, MAP_AT_R, *ALIASES,
        # Metrics of a class, and one that no built-in task has: the report knows how to write them.
        Metric(name="f1", label="F1", range=(0, 1)), Metric(name="precision", range=(0, 1)),
        Metric(name="recall", range=(0, 1)), MSE, replace(psnr(1.0), value=None),
    )
}  # fmt: skip
"""Metrics by name, for whoever has only the name: the report, and tasks that declare none."""
