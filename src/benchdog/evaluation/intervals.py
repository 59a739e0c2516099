"""Metrics of any part of a split, with confidence intervals.

They are computed from records where these give the same as the task's meter did, else through the meter.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchdog.api import Batch, MeasuredTask, Metric, MetricSet, Spec, Task
from benchdog.evaluation import bootstrap, calibration
from benchdog.evaluation.batches import NO_INPUTS
from benchdog.evaluation.per_sample import Records

Array = NDArray[Any]
METERED = 200
"""Resamples of a metric that only the task's meter can compute."""
WORK = 20_000_000
"""Numbers that the meter is given for them; a split that is larger than that allows has no such interval."""


def metrics_of(task: Task, spec: Spec) -> MetricSet:
    """Return the metrics that a task declares; for one with only a meter, those usual for the kind of target."""
    if isinstance(task, MeasuredTask):
        return task.metrics(spec)
    from benchdog.builtin.tasks.metrics.per_sample import standard

    return standard(spec)


@dataclass(frozen=True, slots=True)
class Measuring:
    """A split's records, and how each metric is computed.

    Attributes:
        exact: metrics that the records give as the meter does.
        metered: names of the others, computed by the meter.
    """

    records: Records
    task: Task
    spec: Spec
    exact: tuple[Metric, ...]
    metered: tuple[str, ...]

    @classmethod
    def of(
        cls, records: Records, task: Task, spec: Spec, declared: MetricSet, values: Mapping[str, Any]
    ) -> Measuring:
        """Compare the metrics computed from the records with the values that the meter had on the same samples."""
        names = [name for name, value in values.items() if is_scalar(value)]
        known = bootstrap.point(records, declared.metrics) if len(records) else {}
        exact = tuple(
            metric
            for metric in declared.metrics
            if metric.name in names
            and metric.name in known
            and math.isclose(known[metric.name], values[metric.name], rel_tol=1e-4, abs_tol=1e-6)
        )
        meterable = "score" in records and "goal" in records
        rest = {*names} - {metric.name for metric in exact}
        return cls(records, task, spec, exact, tuple(name for name in names if name in rest) if meterable else ())

    def values(self, rows: Array) -> dict[str, float]:
        """Compute the metrics of some of the samples."""
        part = self.records.take(rows)
        values = bootstrap.point(part, self.exact)
        if self.metered:
            values |= self._by_meter(part, np.arange(len(part)), self.metered)
        return {name: value for name, value in values.items() if math.isfinite(value)}

    def intervals(self, rows: Array | None = None, seed: int = 0) -> dict[str, list[float]]:
        """Return each metric's 95 % interval, [low, high], where it has one; those of the calibration too."""
        part = self.records if rows is None else self.records.take(rows)
        if len(part) < 2:
            return {}
        metrics = (*self.exact, *calibration.METRICS)
        replicas = bootstrap.bootstrap(part, metrics, seed)
        if self.metered:
            replicas |= self._metered(part, seed)
        proportions = {metric.name for metric in metrics if metric.proportion}
        pairs = {name: _spread(values, len(part), name in proportions) for name, values in replicas.items()}
        return {name: list(pair) for name, pair in pairs.items() if pair is not None}

    def _metered(self, part: Records, seed: int) -> dict[str, Array]:
        """Draw resamples and let the meter measure each; none where that would take long."""
        times = min(METERED, WORK // max(part["score"].size, 1))
        if times < METERED // 2:
            return {}
        draw = np.random.default_rng(seed)
        lines = [
            self._by_meter(part, np.sort(draw.integers(0, len(part), len(part))), self.metered) for _ in range(times)
        ]
        return {name: np.array([line.get(name, math.nan) for line in lines]) for name in self.metered}

    def _by_meter(self, part: Records, rows: Array, names: tuple[str, ...]) -> dict[str, float]:
        meter = self.task.meter(self.spec)
        score, goal = torch.from_numpy(part["score"][rows]), torch.from_numpy(part["goal"][rows])
        by = torch.from_numpy(part["by"][rows]) if "by" in part else None
        meter.add(score, Batch(NO_INPUTS, goal, range(len(rows)), True, by))
        value = meter.value()
        return {name: float(value[name]) for name in names if is_scalar(value.get(name))}


def _spread(values: Array, samples: int, proportion: bool) -> tuple[float, float] | None:
    """Return the interval of resampled values; where all are equal, the exact one of a proportion, else none.

    If all predictions are right, they are so in every resample, which says nothing about how many might be wrong.
    """
    pair = bootstrap.interval(values)
    if pair is None or pair[0] < pair[1]:
        return pair
    # Clopper-Pearson: the share at which all samples are right with a probability of 2.5 %.
    possible = float(bootstrap.TAIL ** (1 / samples))
    if proportion and pair[0] in (0.0, 1.0):
        return (possible, 1.0) if pair[0] else (0.0, 1 - possible)
    return None


def is_scalar(value: Any) -> bool:
    """Whether a metric is one finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
