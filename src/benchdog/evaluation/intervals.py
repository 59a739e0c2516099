"""Metrics of any part of a split, and how sure they are: from records where their arithmetic gives what the task's
own meter gave, else through that meter."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchdog.api import Batch, Spec, Task
from benchdog.evaluation import bootstrap
from benchdog.evaluation.per_sample import Records

Array = NDArray[Any]
SHARES = frozenset({"accuracy", "exact_match", "subset_accuracy"})
"""Metrics that are the share of samples that are right."""
METERED = 200
"""Resamples of a metric that only the task's meter can compute."""
WORK = 20_000_000
"""Numbers that the meter is given for them; a split that is larger than that allows has no such interval."""


@dataclass(frozen=True, slots=True)
class Measuring:
    """A split's records and whose arithmetic each metric is computed by.

    exact: metrics that the records give as the meter does. metered: the others, computed by the meter.
    """

    records: Records
    task: Task
    spec: Spec
    exact: tuple[str, ...]
    metered: tuple[str, ...]

    @classmethod
    def of(cls, records: Records, task: Task, spec: Spec, metrics: Mapping[str, Any]) -> Measuring:
        """Compare the records' arithmetic with the metrics that the meter gave of the same samples."""
        names = [name for name, value in metrics.items() if is_scalar(value)]
        known = bootstrap.point(records) if len(records) else {}
        exact = tuple(
            n for n in names if n in known and math.isclose(known[n], metrics[n], rel_tol=1e-4, abs_tol=1e-6)
        )
        judged = "score" in records and "goal" in records
        return cls(records, task, spec, exact, tuple(n for n in names if n not in exact) if judged else ())

    @property
    def calibrated(self) -> tuple[str, ...]:
        """Names of what is computed beside the task's metrics."""
        return tuple(f"calibration.{name}" for name in ("ece", "brier")) if "gap" in self.records else ()

    def values(self, rows: Array) -> dict[str, float]:
        """Measure some of the samples."""
        part = self.records.take(rows)
        known = bootstrap.point(part)
        found = {name: known[name] for name in self.exact if name in known}
        if self.metered:
            found |= self._by_meter(part, np.arange(len(part)), self.metered)
        return {name: value for name, value in found.items() if math.isfinite(value)}

    def intervals(self, rows: Array | None = None, seed: int = 0) -> dict[str, list[float]]:
        """Give each metric's 95 % interval, [low, high], as far as it can be had."""
        part = self.records if rows is None else self.records.take(rows)
        if len(part) < 2:
            return {}
        replicas = bootstrap.bootstrap(part, seed)
        kept = {name: replicas[name] for name in (*self.exact, *self.calibrated) if name in replicas}
        if self.metered:
            kept |= self._metered(part, seed)
        found = {name: _spread(name, values, len(part)) for name, values in kept.items()}
        return {name: list(pair) for name, pair in found.items() if pair is not None}

    def _metered(self, part: Records, seed: int) -> dict[str, Array]:
        """Draw resamples and let the meter measure each; nothing where that would take long."""
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
        meter.add(score, Batch((), goal, range(len(rows)), True, by))
        value = meter.value()
        return {name: float(value[name]) for name in names if is_scalar(value.get(name))}


def _spread(name: str, values: Array, samples: int) -> tuple[float, float] | None:
    """Give an interval from resamples; where all are equal, the exact one of a share, else none.

    If all answers are right, so they are in every resample; that says nothing of how many might be wrong.
    """
    pair = bootstrap.interval(values)
    if pair is None or pair[0] < pair[1]:
        return pair
    possible = float(bootstrap.TAIL ** (1 / samples))  # a share at which all is right once in forty times
    if name in SHARES and pair[0] in (0.0, 1.0):
        return (possible, 1.0) if pair[0] else (0.0, 1 - possible)
    return None


def is_scalar(value: Any) -> bool:
    """Say whether a metric is one finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
