"""COCO's metrics from per-sample records: a meter, a confidence interval and a slice compute them alike."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchdog.api import Batch, Metric, MetricSet, SampleStatistics, Spec, Statistics, compute_metrics
from benchdog_detection.average_precision import THRESHOLDS, WORK, average_precision, match, within_limit
from benchdog_detection.boxes import detections

Array = NDArray[Any]
CODE, PROBABILITY, RIGHT = 0, 1, 2
"""Columns of a record of a detection: class code (-1: none), probability, and from RIGHT on whether it is right."""


def by_class(statistics: Statistics, thresholds: range) -> Array:
    """Return the average precision, a mean over IoU thresholds, of each class: (R, classes); nan without boxes."""
    support, weights = statistics["support"], statistics["weights"]
    records = statistics["detections"]
    sample, place = np.nonzero(records[..., CODE] >= 0)
    records = records[sample, place]
    values = np.full((*support.shape, len(thresholds)), np.nan)
    if len(records) * weights.shape[1] * len(thresholds) > WORK and weights.shape[1] > 1:
        return np.asarray(values[..., 0])
    for code in range(support.shape[1]):
        rows = records[:, CODE] == code
        found, counted = records[rows], weights[sample[rows]]
        for column, threshold in enumerate(thresholds):
            right = found[:, RIGHT + threshold] > 0
            values[:, code, column] = average_precision(found[:, PROBABILITY], right, counted, support[:, code])
    return np.asarray(values.mean(-1))


def _mean(thresholds: range) -> Callable[[Statistics], Array]:
    def value(statistics: Statistics) -> Array:
        values = by_class(statistics, thresholds)
        known = np.isfinite(values)
        total = np.where(known, values, 0.0).sum(1)
        return np.asarray(np.where(known.any(1), total / np.maximum(known.sum(1), 1), np.nan))

    return value


def _average(name: str, label: str, thresholds: range) -> Metric:
    needs = ("detections", "support", "weights")
    return Metric(name=name, label=label, value=_mean(thresholds), needs=needs, range=(0.0, 1.0), over_classes=True)


METRICS = (
    _average("map", "mAP@[.5:.95]", range(len(THRESHOLDS))),
    _average("ap50", "AP50", range(1)),
    _average("ap75", "AP75", range(5, 6)),
    Metric(
        name="loss",
        value=lambda statistics: statistics["loss"] / statistics["weight"],
        needs=("loss", "weight"),
        better="min",
        range=(0.0, math.inf),
        weighted=True,
    ),
)


def metric_set(spec: Spec, overlap: float) -> MetricSet:
    """Return the task's metrics."""

    def per_sample(prediction: Array, score: Array, target: Array, weight: Array | None) -> SampleStatistics:
        records, support = record(prediction, target, spec, overlap)
        return SampleStatistics(sums={"support": support}, kept={"detections": records})

    return MetricSet(metrics=METRICS, per_sample=per_sample)


def record(prediction: Array, target: Array, spec: Spec, overlap: float) -> tuple[Array, Array]:
    """Return the records of each sample's detections (B, K, 12), and how many boxes of each class it has."""
    records = np.zeros((*prediction.shape[:2], RIGHT + len(THRESHOLDS)), np.float32)
    records[..., CODE] = -1
    support = np.zeros((len(prediction), spec.classes))
    real = spec.target.real_rows(target)
    for row, (predicted, rows, own) in enumerate(zip(prediction, target, real, strict=True)):
        truth = rows[own]
        found = within_limit(detections(predicted, overlap))
        records[row, : len(found), CODE] = found[:, 5]
        records[row, : len(found), PROBABILITY] = found[:, 4]
        records[row, : len(found), RIGHT:] = match(found, truth)
        support[row] = np.bincount(truth[:, 4].astype(int), minlength=spec.classes)
    return records, support


class Meter:
    """Records of all samples; ranks exchange them."""

    def __init__(
        self, spec: Spec, head: nn.Module, overlap: float, loss: Callable[..., tuple[Tensor, float | Tensor]]
    ) -> None:
        self._spec, self._head, self._overlap, self._loss = spec, head, overlap, loss
        self._records: list[Tensor] = []
        self._support = torch.zeros(spec.classes, dtype=torch.float64)
        self._sums = torch.zeros(2, dtype=torch.float64)  # loss, weight

    @torch.no_grad()
    def add(self, score: Tensor, batch: Batch) -> None:
        """Add a batch."""
        prediction = self._head(score.float()).cpu().numpy()
        records, support = record(prediction, batch.target.cpu().numpy(), self._spec, self._overlap)
        self._records.append(torch.from_numpy(records))
        self._support += torch.from_numpy(support.sum(0))
        total, weight = self._loss(score, batch)
        self._sums += torch.tensor([float(total), float(weight)], dtype=torch.float64)

    def state(self) -> dict[str, Tensor]:
        """Return the state for `merge`."""
        none = torch.zeros(0, 0, RIGHT + len(THRESHOLDS))
        records = torch.cat(self._records) if self._records else none
        return {"records": records, "support": self._support, "sums": self._sums}

    def merge(self, state: Mapping[str, Tensor]) -> None:
        """Add another meter's samples."""
        if len(state["records"]):
            self._records.append(state["records"])
        self._support += state["support"]
        self._sums += state["sums"]

    def value(self) -> dict[str, Any]:
        """Return the metrics; nan where there is no box. `ap_by_class` is a mean over the IoU thresholds too."""
        records = self.state()["records"].numpy()
        statistics = {
            "detections": records,
            "support": self._support.numpy()[None],
            "weights": np.ones((len(records), 1), np.float32),
            "loss": self._sums[:1].numpy(),
            "weight": self._sums[1:].numpy().clip(min=1e-12),
        }
        values = {name: float(value[0]) for name, value in compute_metrics(METRICS, statistics).items()}
        of_class = by_class(statistics, range(len(THRESHOLDS)))[0]
        names = self._spec.target.classes
        return {**values, "ap_by_class": {n: float(v) for n, v in zip(names, of_class, strict=True) if v == v}}
