"""The documents of an evaluation, typed: evaluation-<split>.json and the lines of baseline.json."""

from __future__ import annotations

from typing import Any, TypedDict

from benchdog.evaluation.calibration import Calibration

Interval = list[float]
"""Low and high end of a 95 % interval."""


class ThresholdMetrics(TypedDict):
    """What one statement reaches at a threshold on its probability."""

    threshold: float
    precision: float
    recall: float
    f1: float


ThresholdCurve = TypedDict(
    "ThresholdCurve",
    {
        "class": str,
        "positives": int,
        "roc": list[list[float]],
        "pr": list[list[float]],
        "best": ThresholdMetrics,
        "chosen": ThresholdMetrics | None,
        "at_half": ThresholdMetrics,
    },
    total=False,
)
"""Curves of one statement: roc, [false positive rate, true positive rate], and pr, [recall, precision].

`best` has the highest F1 on this split, `chosen` had it on the validation split; at_half is a threshold of 0.5.
"""


class Slice(TypedDict):
    """Metrics of a part of the split."""

    slice: str
    samples: int
    metrics: dict[str, float]
    intervals: dict[str, Interval]


class Slices(TypedDict):
    """Parts of a split, by the monitored metric, worst first."""

    by: str
    monitor: str
    slices: list[Slice]


class RankedSample(TypedDict, total=False):
    """A sample of the highest loss, or a most confident error (`sure` is its probability)."""

    id: str
    loss: float
    sure: float
    answer: dict[str, Any]
    target: Any
    picture: str | None
    attention: str | None


class Attention(TypedDict):
    """The layer of the Grad-CAM heat maps, or why there are none."""

    layer: str | None
    why: str | None


class TargetInfo(TypedDict):
    """The target's kind and name."""

    kind: str
    name: str


class Evaluation(TypedDict, total=False):
    """A model's evaluation on a split: evaluation-<split>.json."""

    format: int
    split: str
    samples: int
    held_out: str
    weighted: list[str]
    metrics: dict[str, Any]
    classes: list[str]
    target: TargetInfo
    pairs: list[list[float]]
    calibration: Calibration
    intervals: dict[str, Interval]
    resamples: int
    thresholds: list[ThresholdCurve]
    slices: Slices
    worst: list[RankedSample]
    confident: list[RankedSample]
    attention: Attention
    monitor: str
    better: str


class Baseline(TypedDict):
    """The metrics of a simple model on the same split."""

    name: str
    metrics: dict[str, Any]


class RunEvaluation(Evaluation, total=False):
    """What `benchdog evaluate` returns."""

    run: str
    baselines: list[Baseline]
    notes: list[str]
    report: str
