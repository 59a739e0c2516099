"""Per-sample records of an evaluation: the metrics of any part of a split, or of a resample, follow from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchdog.api import MetricSet, SampleStatistics, Spec, Statistics
from benchdog.data.collate import concatenate
from benchdog.evaluation import calibration
from benchdog.evaluation.batches import PredictedBatch

Array = NDArray[Any]

KEPT = 20_000_000
"""The most numbers of a kind (samples x scores) that are kept: 80 MB."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Records:
    """Columns of a split, a row per sample, in its order.

    Always there: loss and weight (N,), float64. Where samples have weights: by (N,), which loss and weight are
    multiplied by. Where predictions are probabilities: calibration.gap (N, bins), calibration.squared and
    calibration.statements (N,). For two classes and for labels: chance (N, K), and truth, whether each is so. As long
    as they are few: score and goal, what the task's own meter takes. And the statistics of the task's metrics.

    Attributes:
        sums: names of the columns that add up over samples.
        codes: those that are class codes, with the number of classes.
        kept: those that metrics get as they are.
    """

    columns: Mapping[str, Array]
    sums: frozenset[str] = frozenset({"loss", "weight"})
    codes: Mapping[str, int] = field(default_factory=dict)
    kept: frozenset[str] = frozenset()

    def __len__(self) -> int:
        return len(self.columns["loss"])

    def __contains__(self, name: str) -> bool:
        return name in self.columns

    def __getitem__(self, name: str) -> Array:
        return self.columns[name]

    def take(self, rows: Array) -> Records:
        """Select some of the samples."""
        return replace(self, columns={name: column[rows] for name, column in self.columns.items()})

    def statistics(self, weights: Array) -> Statistics:
        """Return the statistics under weights (N, R): see `benchdog.api.Statistics`."""
        counted = {
            name: _count_codes(weights, self.columns[name], size)
            for name, size in self.codes.items()
            if name in self.columns
        }
        return {
            **{name: _weighted_sum(weights, self.columns[name]) for name in self.sums & self.columns.keys()},
            **counted,
            **{name: self.columns[name] for name in self.kept & self.columns.keys()},
            "weights": weights,
            "samples": weights.sum(0, dtype=np.float64),
        }


def _weighted_sum(weights: Array, column: Array) -> Array:
    """Add up a column (N, ...) under the weights: (R, ...). What isn't finite counts wherever it was drawn."""
    column = np.asarray(column, np.float64)
    bad = ~np.isfinite(column)
    if not bad.any():
        return np.asarray(weights.T.astype(np.float64) @ column)
    total = weights.T.astype(np.float64) @ np.where(bad, 0.0, column)
    return np.asarray(np.where(weights.T @ bad.astype(np.float32) > 0, np.nan, total))


def _count_codes(weights: Array, codes: Array, size: int) -> Array:
    """Add up the weights by code: (R, size). Codes from `size` on count nowhere.

    One pass over sorted codes; a product with one-hot rows would cost as much for each class.
    """
    order = np.argsort(codes, kind="stable")
    ordered = codes[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    known = ordered[starts] < size
    out = np.zeros((size, weights.shape[1]))
    out[ordered[starts][known]] = np.add.reduceat(weights[order], starts, axis=0)[known]
    return out.T


@dataclass(slots=True)
class Recorder:
    """Gathers records batch by batch."""

    spec: Spec
    metrics: MetricSet
    _chunks: dict[str, list[Array]] = field(default_factory=dict)
    _dropped: set[str] = field(default_factory=set)
    _sizes: dict[str, int] = field(default_factory=dict)
    _sums: set[str] = field(default_factory=lambda: {"loss", "weight"})
    _codes: dict[str, int] = field(default_factory=dict)
    _kept: set[str] = field(default_factory=set)
    _batches: int = 0

    def collect(self, batch: PredictedBatch) -> None:
        """Record a batch of an evaluation."""
        self.add(batch.prediction, batch.score, batch.target, batch.losses, batch.loss_weights, batch.weight)

    def add(
        self,
        prediction: Array,
        score: Array,
        target: Array,
        loss: Sequence[float],
        weight: Sequence[float],
        by: Array | None = None,
    ) -> None:
        """Record a batch: predictions and scores, targets, each sample's loss and weight.

        `by` is how much each sample's loss counts, where they have weights.
        """
        share = 1.0 if by is None else by.astype(np.float64)
        self._keep("loss", np.asarray(loss, np.float64) * share)
        self._keep("weight", np.asarray(weight, np.float64) * share)
        found: dict[str, Array | None] = {
            "by": by,
            "score": np.asarray(score, np.float32),
            "goal": target,
            **self._statistics(self.metrics.per_sample(prediction, score, target, by)),
        }
        statements = calibration.statements(prediction, score, target, self.spec)
        if statements is not None:
            binned = calibration.per_sample(statements)
            found |= {f"calibration.{name}": column for name, column in binned.items()}
            found |= {"chance": statements.curve, "truth": statements.curve_truth}
            self._sums |= {f"calibration.{name}" for name in ("gap", "squared", "statements")}
        # A column that a batch lacks is dropped as a whole.
        for name in {**self._sizes, **found}:
            if name not in ("loss", "weight"):
                self._keep(name, found.get(name), KEPT, late=self._batches > 0)
        self._batches += 1

    def _statistics(self, found: SampleStatistics) -> dict[str, Array]:
        """Note of which sort each column is, and return all of them."""
        self._sums |= found.sums.keys()
        self._codes |= {name: size for name, (_, size) in found.codes.items()}
        self._kept |= found.kept.keys()
        return {**found.sums, **{name: codes for name, (codes, _) in found.codes.items()}, **found.kept}

    def _keep(self, name: str, column: Array | None, most: int = 0, late: bool = False) -> None:
        """Add a chunk to a column; one that a batch lacks, or that grows too large, is dropped."""
        if name in self._dropped:
            return
        late = late and name not in self._chunks
        self._sizes[name] = self._sizes.get(name, 0) + (column.size if column is not None else 0)
        if column is None or late or (most and self._sizes[name] > most):
            self._dropped.add(name)
            self._chunks.pop(name, None)
        else:
            self._chunks.setdefault(name, []).append(np.array(column))  # a copy: a runner may use its buffer again

    def records(self) -> Records:
        """Return what was gathered; columns whose samples differ in shape are left out."""
        columns = {name: np.zeros(0) for name in ("loss", "weight")}
        for name, chunks in self._chunks.items():
            padded = name == "goal" and self.spec.target.padding is not None
            if (padded or len({chunk.shape[1:] for chunk in chunks}) == 1) and name != "calibration.bins":
                columns[name] = concatenate(chunks, self.spec.target)
        return Records(columns=columns, sums=frozenset(self._sums), codes=self._codes, kept=frozenset(self._kept))

    def bins(self) -> Array | None:
        """Return the calibration's bins, added up: (3, bins) as `calibration.per_sample` counts them."""
        chunks = self._chunks.get("calibration.bins")
        return np.sum(chunks, axis=0) if chunks else None
