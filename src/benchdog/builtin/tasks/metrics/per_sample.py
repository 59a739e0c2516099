"""Per-sample statistics of the metrics, by kind of target, and the metric sets of the built-in tasks.

Functions of (prediction, score, target, weight), numpy arrays with a row per sample. They return no statistics for
arrays that don't fit: whoever asks then falls back on the task's meter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchdog.api import Metric, MetricSet, SampleStatistics, Spec
from benchdog.builtin.tasks.metrics import definitions as d

Array = NDArray[Any]

CLASS_METRICS = (d.LOSS, d.ACCURACY, d.MACRO_F1, d.ROC_AUC)
ORDINAL_METRICS = (d.LOSS, d.ACCURACY, d.RANK_MAE, d.QUADRATIC_KAPPA)
LABEL_METRICS = (
    d.LOSS, d.MICRO_F1, d.MACRO_F1, d.EXACT_MATCH, d.HAMMING_LOSS, d.MEAN_AVERAGE_PRECISION, d.ROC_AUC,
)  # fmt: skip
NUMBER_METRICS = (d.LOSS, d.MAE, d.RMSE, d.R2)
MASK_METRICS = (d.LOSS, d.IOU, d.DICE, d.PIXEL_ACCURACY)
TOKEN_METRICS = (d.LOSS, d.PERPLEXITY, d.BITS_PER_BYTE, d.BITS_PER_CHARACTER, d.ACCURACY)
EMBEDDING_METRICS = (d.LOSS, d.RECALL_AT_1, d.RECALL_AT_5, d.MAP_AT_R)

NOTHING = SampleStatistics()


def by_code(predicted: Array, target: Array, classes: int) -> dict[str, tuple[Array, int]]:
    """Return what to count of one prediction a sample, (B,) codes each."""
    right = np.where(predicted == target, target, classes)  # a code beyond the classes counts nowhere
    return {"right": (right, classes), "support": (target, classes), "predicted": (predicted, classes)}


def ranking(score: Array) -> Array:
    """Return what orders the samples by class: of two classes the second's score less the first's, else softmax."""
    exact = torch.tensor(score, dtype=torch.float64)  # a copy: a runner's array may be read-only
    return (exact[:, 1:] - exact[:, :1] if exact.shape[1] == 2 else exact.softmax(1)).numpy()


def one_of(codes: Array, classes: int) -> Array:
    """Return which class each sample is of, as `ranking` has them: (N, classes) bool, (N, 1) for two classes."""
    return np.asarray(codes[:, None] == (np.arange(classes) if classes != 2 else np.ones(1)))


@dataclass(frozen=True, slots=True)
class ClassStatistics:
    """One of several classes: the prediction is a probability per class, the target a code."""

    classes: int

    def __call__(self, prediction: Array, score: Array, target: Array, weight: Array | None) -> SampleStatistics:
        if target.ndim != 1 or prediction.shape != (len(target), self.classes):
            return NOTHING
        scored = score.shape == prediction.shape
        codes = target.astype(np.int64)
        kept = {}
        if scored and self.classes > 1:
            ranks = ranking(score)
            # A third of the memory; two classes are ranked in full precision, as their difference may be tiny.
            kept["ranking"] = ranks if self.classes == 2 else ranks.astype(np.float32)
            kept["ranking_truth"] = one_of(codes, self.classes)
        predicted = (score if scored else prediction).argmax(1)
        return SampleStatistics(codes=by_code(predicted, codes, self.classes), kept=kept)


@dataclass(frozen=True, slots=True)
class RankStatistics:
    """Classes that have an order: codes are replaced by ranks.

    Args:
        ranks: of the class codes.
        rank_of: returns the predicted rank (B,) of a score.
    """

    ranks: Sequence[int]
    rank_of: Callable[[Array], Array]

    def __call__(self, prediction: Array, score: Array, target: Array, weight: Array | None) -> SampleStatistics:
        if target.ndim != 1:
            return NOTHING
        actual, predicted = np.asarray(self.ranks)[target.astype(np.int64)], self.rank_of(score)
        distance = np.abs(actual - predicted).astype(np.float64)
        sums = {"distance": distance, "squared_distance": np.square(distance)}
        return SampleStatistics(codes=by_code(predicted, actual, len(self.ranks)), sums=sums)


def label_statistics(prediction: Array, score: Array, target: Array, weight: Array | None) -> SampleStatistics:
    """Count several labels a sample, (B, labels) each; one is predicted from a probability of one half on."""
    if prediction.ndim != 2 or prediction.shape != target.shape:
        return NOTHING
    truth, predicted = target > 0.5, prediction >= 0.5
    wrong = predicted != truth
    sums = {"right": truth & predicted, "support": truth, "predicted": predicted, "exact": ~wrong.any(1)}
    counts = {"wrong": wrong.sum(1), "labels": np.full(len(truth), truth.shape[1])}
    kept = {"ranking": prediction.astype(np.float32), "ranking_truth": truth}
    return SampleStatistics(sums={**sums, **counts}, kept=kept)


@dataclass(slots=True)
class NumberStatistics:
    """Errors of numbers, (B, targets) each; squares are taken around a center, by default the first batch's mean.

    A target far from zero would lose its digits otherwise.
    """

    center: Array | None = None

    def __call__(self, prediction: Array, score: Array, target: Array, weight: Array | None) -> SampleStatistics:
        predicted = np.asarray(prediction, np.float64).reshape(len(target), -1)
        actual = np.asarray(target, np.float64).reshape(len(target), -1)
        if predicted.shape != actual.shape:
            return NOTHING
        if self.center is None:
            self.center = actual.mean(0)
        error, centered = predicted - actual, actual - self.center
        return SampleStatistics(
            sums={
                "absolute_error": np.abs(error),
                "squared_error": np.square(error),
                "target": centered,
                "target_squared": np.square(centered),
            }
        )


def psnr_metrics(span: tuple[float, float] | None) -> tuple[Metric, ...]:
    """Return the metrics of images; PSNR needs the range of the values."""
    return (d.LOSS, d.MSE, d.MAE) if span is None else (d.LOSS, d.MSE, d.MAE, d.psnr(span[1] - span[0]))


def image_statistics(prediction: Array, score: Array, target: Array, weight: Array | None) -> SampleStatistics:
    """Average the errors of each image's values."""
    if prediction.shape != target.shape:
        return NOTHING
    error = (prediction.astype(np.float64) - target).reshape(len(target), -1)
    sums = {
        "absolute_error": np.abs(error).mean(1, keepdims=True),
        "squared_error": np.square(error).mean(1, keepdims=True),
    }
    return SampleStatistics(sums=sums)


@dataclass(frozen=True, slots=True)
class MaskStatistics:
    """Pixels or voxels of each sample by class; those of the code `ignore` count nowhere."""

    classes: int
    ignore: int | None = None

    def __call__(self, prediction: Array, score: Array, target: Array, weight: Array | None) -> SampleStatistics:
        if prediction.shape != target.shape or prediction.dtype.kind not in "ui":
            return NOTHING
        counted = np.ones(target.shape, bool) if self.ignore is None else target != self.ignore
        known = target[counted]
        if known.size and (known.min() < 0 or max(known.max(), prediction.max()) >= self.classes):
            return NOTHING  # codes that only the task itself knows
        sums = {
            "right": self._count(target, counted & (prediction == target)),
            "support": self._count(target, counted),
            "predicted": self._count(prediction, counted),
        }
        return SampleStatistics(sums=sums)

    def _count(self, codes: Array, which: Array) -> Array:
        count = len(codes)
        places = codes.reshape(count, -1).astype(np.int64) + np.arange(count)[:, None] * self.classes
        chosen = places[which.reshape(count, -1)]
        return np.bincount(chosen, minlength=count * self.classes).reshape(count, self.classes)


@dataclass(frozen=True, slots=True)
class TokenStatistics:
    """Tokens that were predicted, and the size of the text that they stand for; those of `ignore` count nowhere.

    Args:
        sizes: (2, vocabulary), the bytes and the characters of each token; None where they aren't known.
    """

    classes: int
    ignore: int | None = None
    sizes: Array | None = None

    def __call__(self, prediction: Array, score: Array, target: Array, weight: Array | None) -> SampleStatistics:
        if score.ndim != 3 or score.shape[:2] != target.shape:
            return NOTHING
        counted = np.ones(target.shape, bool) if self.ignore is None else target != self.ignore
        known = target[counted]
        if known.size and (known.min() < 0 or known.max() >= self.classes):
            return NOTHING
        right = (score.argmax(-1) == target) & counted
        sums: dict[str, Array] = {"right": right.sum(1, keepdims=True), "support": counted.sum(1, keepdims=True)}
        if self.sizes is not None:
            share = 1.0 if weight is None else weight.astype(np.float64)
            tokens = np.where(counted, target, 0).astype(np.int64)
            for name, size in zip(("bytes", "characters"), self.sizes, strict=True):
                sums[name] = np.where(counted, size[tokens], 0.0).sum(1) * share
        return SampleStatistics(sums=sums)


# --- tasks of third parties that have only a meter


def standard(spec: Spec) -> MetricSet:
    """Return the metrics that are usual for the kind of target, under every name that tasks give them."""
    sets: dict[str, tuple[tuple[Metric, ...], Any]] = {
        "class": (CLASS_METRICS, ClassStatistics(spec.classes)),
        "labels": ((*LABEL_METRICS, *d.ALIASES), label_statistics),
        "number": (NUMBER_METRICS, NumberStatistics()),
        "mask": (MASK_METRICS, MaskStatistics(spec.classes)),
        "next-token": (TOKEN_METRICS, TokenStatistics(spec.classes)),
    }
    metrics, per_sample = sets.get(spec.target.kind, ((d.LOSS,), lambda *arrays: NOTHING))
    return MetricSet(metrics=metrics, per_sample=per_sample)
