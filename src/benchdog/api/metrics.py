"""Metrics: each is written once, as a function of statistics that add up over samples.

A meter, a bootstrap interval and a slice of a split compute a metric by the same function: from the sums over all
samples, over a resample, over a part. The report reads its label and its direction.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from benchdog.api.data import Spec
from benchdog.api.protocols import Task

if TYPE_CHECKING:
    import numpy as np

Statistics = Mapping[str, "np.ndarray"]
"""What a metric is computed from, for R weightings of the samples at once (R = 1: each counts once).

Sums are (R, ...) float64. There always are `loss` and `weight`, sums of the task's loss and of its weight, and
`samples`, how many there are. What was kept as it is has a row per sample, and `weights` (N, R) says how often each
sample counts.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Metric:
    """One scalar metric.

    Attributes:
        name: its key in `Meter.value()` and in every file.
        value: returns (R,) from statistics, nan where it is undefined, or None where it is undefined for all. None
            in place of a function: only the task's meter can compute it.
        needs: names of the statistics that `value` reads; without one of them it isn't called.
        label: how people write it; the name without underscores by default.
        better: whether larger ("max") or smaller ("min") values are better.
        range: the least and the greatest possible value.
        weighted: samples count by their weights; in other metrics each counts once.
        over_classes: a mean over classes, or a comparison of them: undefined on samples of one class.
        proportion: the share of samples that are right.
    """

    name: str
    value: Callable[[Statistics], np.ndarray | None] | None = None
    needs: tuple[str, ...] = ()
    label: str = ""
    better: Literal["max", "min"] = "max"
    range: tuple[float, float] = (-math.inf, math.inf)
    weighted: bool = False
    over_classes: bool = False
    proportion: bool = False

    @property
    def text(self) -> str:
        """The label, or the name with spaces."""
        return self.label or self.name.replace("_", " ")


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleStatistics:
    """Statistics of a batch's samples, numpy arrays with a row per sample.

    Attributes:
        sums: (B, ...), added up over samples.
        codes: class codes (B,) with the number of classes; counted by class, (R, classes). Codes beyond
            these count nowhere.
        kept: (B, ...), handed to the metrics as they are: scores whose order matters.
    """

    sums: Mapping[str, np.ndarray] = field(default_factory=dict)
    codes: Mapping[str, tuple[np.ndarray, int]] = field(default_factory=dict)
    kept: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class MetricSet:
    """The metrics of a task, and how their statistics come from a batch.

    Attributes:
        metrics: in the order in which they are listed.
        per_sample: called with (prediction, score, target, weight), numpy arrays with a row per sample; weight is
            None where samples have none. Batches come in the split's order, to one set each evaluation.
    """

    metrics: Sequence[Metric]
    per_sample: Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None], SampleStatistics]


@runtime_checkable
class MeasuredTask(Task, Protocol):
    """A task that declares its metrics: its intervals and slices are then computed without its meter, and fast.

    Metrics that its meter has beyond these, or of which it has other values, are resampled through the meter.
    """

    def metrics(self, spec: Spec, /) -> MetricSet:
        """Return the metrics that `meter(spec).value()` has."""
        ...


def compute_metrics(metrics: Sequence[Metric], statistics: Statistics) -> dict[str, np.ndarray]:
    """Compute the metrics whose statistics there are: by name, (R,) each."""
    values = {}
    for metric in metrics:
        if metric.value is not None and all(name in statistics for name in metric.needs):
            value = metric.value(statistics)
            if value is not None:
                values[metric.name] = value
    return values
