"""Per-slice metrics: parts of a split by column, folder or class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchdog.api import Spec
from benchdog.errors import BadUsage, nearest
from benchdog.evaluation.batches import PredictedBatch
from benchdog.evaluation.intervals import Measuring
from benchdog.evaluation.results import Slice, Slices

Array = NDArray[Any]
FEW = 8
"""A column of numbers with at most as many different values is sliced by value, else by quartile."""
MOST = 200
"""The most slices that are reported."""
MISSING = "(missing)"
UNKNOWN = "(missing or never seen)"


@dataclass(slots=True)
class Slicer:
    """Records which slice each sample belongs to, batch by batch.

    Raises:
        BadUsage: the data can't be sliced that way; the hint lists what it can be sliced by.
    """

    spec: Spec
    by: str
    _keys: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        ways, target = self._ways(), self.spec.target
        if self.by in ways:
            return
        if self.by == target.name or (target.kind != "class" and self.by in target.classes):
            raise BadUsage(
                f"{self.by!r} is what the model predicts, not one of its inputs: samples can't be sliced by it.",
                f"By the true class: --by class. {nearest('', ways)}" if "class" in ways else nearest("", ways),
            )
        raise BadUsage(f"Samples can't be sliced by {self.by!r}.", nearest(self.by, ways))

    def _ways(self) -> list[str]:
        columns = [column.name for f in self.spec.fields if f.kind == "table" for column in f.columns]
        own = ["class"] if self.spec.target.kind in ("class", "labels") else []
        return [*columns, *(way for way in (*own, "folder") if way not in columns)]

    def collect(self, batch: PredictedBatch) -> None:
        self.add(batch.inputs, batch.data_target, batch.ids)

    def add(self, inputs: tuple[Array, ...], target: Array, ids: Callable[[], Sequence[str]]) -> None:
        """Record a batch: decoded inputs, targets, and a function that returns ids, which can mean reading files."""
        for f, x in zip(self.spec.fields, inputs, strict=True):
            names = [column.name for column in f.columns] if f.kind == "table" else []
            if self.by in names:  # a column takes precedence over "class" and "folder"
                self._keys.append(np.array(x[:, names.index(self.by)], np.float64))
                return
        self._keys.append(np.array(target) if self.by == "class" else [_folder(name) for name in ids()])

    def slices(self) -> list[tuple[str, Array]]:
        """Return each slice's name and the positions of its samples; no slice is empty."""
        for f in self.spec.fields:
            for column in f.columns if f.kind == "table" else ():
                if column.name == self.by:
                    values = np.concatenate(self._keys)
                    return _numbers(values) if column.kind == "number" else _categories(values, column.categories)
        if self.by == "class":
            return _classes(np.concatenate(self._keys), self.spec.target.classes)
        folders = np.array([name for keys in self._keys for name in keys])
        if not any(folders):
            raise BadUsage("The sample ids have no folder.", nearest("", [w for w in self._ways() if w != "folder"]))
        return [(str(name) or ".", np.flatnonzero(folders == name)) for name in np.unique(folders)]


def table(measuring: Measuring, slicer: Slicer, monitor: str, better: str) -> Slices:
    """Measure every slice, worst first."""
    slices = slicer.slices()
    if len(slices) > MOST:
        raise BadUsage(
            f"{slicer.by!r} has {len(slices)} slices.", f"At most {MOST} are reported: slice by something coarser."
        )
    lines: list[Slice] = []
    over_classes = {metric.name for metric in measuring.exact if metric.over_classes}
    for name, rows in slices:
        metrics, intervals = measuring.values(rows), measuring.intervals(rows)
        if slicer.by == "class":
            metrics = {key: value for key, value in metrics.items() if key not in over_classes}
        pairs = {key: pair for key, pair in intervals.items() if key in metrics}
        lines.append({"slice": name, "samples": len(rows), "metrics": metrics, "intervals": pairs})
    sign = -1 if better == "min" else 1
    lines.sort(key=lambda line: sign * line["metrics"].get(monitor, sign * np.inf))
    return {"by": slicer.by, "monitor": monitor, "slices": lines}


def _folder(name: str) -> str:
    parent = PurePosixPath(str(name).replace("\\", "/")).parent.as_posix()
    return "" if parent == "." else parent


def _classes(target: Array, names: Sequence[str]) -> list[tuple[str, Array]]:
    if target.ndim == 2:  # labels: a sample is in the slice of each of its labels
        found = [(name, np.flatnonzero(target[:, k] > 0.5)) for k, name in enumerate(names)]
        found.append(("(none)", np.flatnonzero(~(target > 0.5).any(1))))
    else:
        found = [(name, np.flatnonzero(target == k)) for k, name in enumerate(names)]
    return [(name, rows) for name, rows in found if len(rows)]


def _categories(values: Array, names: Sequence[str]) -> list[tuple[str, Array]]:
    found = [(name, np.flatnonzero(values == code)) for code, name in enumerate((UNKNOWN, *names))]
    return [(name, rows) for name, rows in found if len(rows)]


def _numbers(values: Array) -> list[tuple[str, Array]]:
    """Slice by value where there are few, else into quartiles; equal values stay together."""
    known = values[~np.isnan(values)]
    different = np.unique(known)
    if len(different) <= FEW:
        found = [(f"{value:g}", np.flatnonzero(values == value)) for value in different]
    else:
        cuts = np.unique(np.quantile(known, [0, 0.25, 0.5, 0.75, 1]))
        place = np.clip(np.searchsorted(cuts[1:], values), 0, len(cuts) - 2)
        found = []
        for i in range(len(cuts) - 1):
            rows = np.flatnonzero((place == i) & ~np.isnan(values))
            if len(rows):
                found.append((f"{values[rows].min():.4g} to {values[rows].max():.4g}", rows))
    missing = np.flatnonzero(np.isnan(values))
    return [*found, *([(MISSING, missing)] if len(missing) else [])]
