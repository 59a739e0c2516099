"""What an evaluation keeps of each sample, so that metrics can be had of any part of a split, or of a resample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchdog.api import Spec
from benchdog.evaluation import calibration

Array = NDArray[Any]

KEPT = 20_000_000
"""The most numbers of a kind (samples x scores) that are kept: 80 MB."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Records:
    """Columns of a split, a row per sample, in its order.

    Always there: loss and weight (N,), float64. Where samples have weights: by (N,), which loss and weight are
    multiplied by. For classes: answered and target (N,). For numbers: said and true
    (N, targets), float64. For masks: right, rows and called (N, classes), pixel counts. For tokens: right and
    tokens (N,). Where answers are probabilities: gap (N, bins), squared and judged (N,), as
    `calibration.per_sample` gives them. For two classes and for labels: chance (N, K), and truth, whether each
    is so. As long as they are few: score and goal, what the task's own meter takes.
    """

    kind: str
    columns: Mapping[str, Array]

    def __len__(self) -> int:
        return len(self.columns["loss"])

    def __contains__(self, name: str) -> bool:
        return name in self.columns

    def __getitem__(self, name: str) -> Array:
        return self.columns[name]

    def take(self, rows: Array) -> Records:
        """Give some of the samples."""
        return Records(kind=self.kind, columns={name: column[rows] for name, column in self.columns.items()})


@dataclass(slots=True)
class Recorder:
    """Gathers records batch by batch."""

    spec: Spec
    _pieces: dict[str, list[Array]] = field(default_factory=dict)
    _dropped: set[str] = field(default_factory=set)
    _sizes: dict[str, int] = field(default_factory=dict)

    def add(
        self,
        answer: Array,
        score: Array,
        target: Array,
        loss: Sequence[float],
        weight: Sequence[float],
        by: Array | None = None,
    ) -> None:
        """Take in a batch: what the model answered and scored, the truth, each sample's loss and weight.

        `by` is how much each sample's loss counts, where they have weights.
        """
        share = 1.0 if by is None else by.astype(np.float64)
        self._keep("loss", np.asarray(loss, np.float64) * share)
        self._keep("weight", np.asarray(weight, np.float64) * share)
        self._keep("by", by, KEPT)
        self._keep("score", np.asarray(score, np.float32), KEPT)
        self._keep("goal", target, KEPT)
        found = _KINDS.get(self.spec.target.kind, _nothing)(answer, score, target, self.spec)
        for name in ("answered", "target", "said", "true", "right", "rows", "called", "tokens"):
            self._keep(name, found.get(name), KEPT)
        told = {}
        if "chance" in found:
            told = calibration.per_sample(found["chance"], found["truth"], found.get("squared"))
        for name in ("gap", "squared", "judged", "bins"):
            self._keep(name, told.get(name), KEPT)
        for name, column in (("chance", found.get("curve")), ("truth", found.get("curve_truth"))):
            self._keep(name, column, KEPT)

    def _keep(self, name: str, column: Array | None, most: int = 0) -> None:
        """Add a piece to a column; one that a batch lacks, or that grows too large, is dropped as a whole."""
        if name in self._dropped:
            return
        self._sizes[name] = self._sizes.get(name, 0) + (column.size if column is not None else 0)
        if column is None or (most and self._sizes[name] > most):
            self._dropped.add(name)
            self._pieces.pop(name, None)
        else:
            self._pieces.setdefault(name, []).append(np.array(column))  # a copy: a runner may use its buffer again

    def records(self) -> Records:
        """Give what was gathered; columns whose samples differ in shape are left out."""
        columns = {name: np.zeros(0) for name in ("loss", "weight")}
        for name, pieces in self._pieces.items():
            if len({piece.shape[1:] for piece in pieces}) == 1 and name != "bins":
                columns[name] = np.concatenate(pieces)
        return Records(kind=self.spec.target.kind, columns=columns)

    def bins(self) -> Array | None:
        """Give the calibration's bins, added up: (3, bins) as `calibration.per_sample` counts them."""
        pieces = self._pieces.get("bins")
        return np.sum(pieces, axis=0) if pieces else None


# --- by kind of target -----------------------------------------------------------------------------


def _nothing(answer: Array, score: Array, target: Array, spec: Spec) -> dict[str, Array]:
    return {}


def _class(answer: Array, score: Array, target: Array, spec: Spec) -> dict[str, Array]:
    classes = spec.classes
    if target.ndim != 1 or answer.shape != (len(target), classes):
        return {}
    answered = (score if score.shape == answer.shape else answer).argmax(1)
    found = {"answered": answered, "target": target.astype(np.int64)}
    if calibration.are_shares(answer):
        rows = np.arange(len(target))
        found["chance"] = answer[rows, answered][:, None]
        found["truth"] = (answered == target)[:, None]
        truth = np.zeros(answer.shape, np.float64)
        truth[rows, target] = 1
        squared = np.square(answer - truth).sum(1)
        found["squared"] = squared / 2 if classes == 2 else squared
        if classes == 2:
            found["curve"], found["curve_truth"] = answer[:, 1:].astype(np.float32), (target == 1)[:, None]
    return found


def _labels(answer: Array, score: Array, target: Array, spec: Spec) -> dict[str, Array]:
    if answer.ndim != 2 or answer.shape != target.shape or not calibration.in_range(answer):
        return {}
    truth = target > 0.5
    return {
        "chance": answer,
        "truth": truth,
        "squared": np.square(answer - truth).sum(1),
        "curve": answer.astype(np.float32),
        "curve_truth": truth,
    }


def _number(answer: Array, score: Array, target: Array, spec: Spec) -> dict[str, Array]:
    said = np.asarray(answer, np.float64).reshape(len(target), -1)
    true = np.asarray(target, np.float64).reshape(len(target), -1)
    return {"said": said, "true": true} if said.shape == true.shape else {}


def _mask(answer: Array, score: Array, target: Array, spec: Spec) -> dict[str, Array]:
    if answer.shape != target.shape or answer.dtype.kind not in "ui":
        return {}
    classes, count = spec.classes, len(target)
    sample = np.arange(count)[:, None] * classes

    def counted(codes: Array, these: Array | None = None) -> Array:
        places = codes.reshape(count, -1).astype(np.int64) + sample
        chosen = places.ravel() if these is None else places[these.reshape(count, -1)]
        return np.bincount(chosen, minlength=count * classes).reshape(count, classes)

    if target.size and (target.min() < 0 or max(target.max(), answer.max()) >= classes):
        return {}  # pixels that don't count: the task's own affair
    return {"right": counted(target, answer == target), "rows": counted(target), "called": counted(answer)}


def _tokens(answer: Array, score: Array, target: Array, spec: Spec) -> dict[str, Array]:
    if score.ndim != 3 or score.shape[:2] != target.shape or answer.shape != score.shape:
        return {}
    if target.size and (target.min() < 0 or target.max() >= spec.classes):
        return {}  # tokens that don't count: the task's own affair
    said = score.argmax(-1)
    hit = said == target
    found = {"right": hit.sum(1), "tokens": np.full(len(target), target.shape[1])}
    if calibration.are_shares(answer):
        found["chance"] = np.take_along_axis(answer, said[..., None], -1)[..., 0]
        found["truth"] = hit
        right = np.take_along_axis(answer, target[..., None].astype(np.int64), -1)[..., 0]
        found["squared"] = (np.square(answer).sum(-1) - 2 * right + 1).sum(1)
    return found


_KINDS = {"class": _class, "labels": _labels, "number": _number, "mask": _mask, "next-token": _tokens}
