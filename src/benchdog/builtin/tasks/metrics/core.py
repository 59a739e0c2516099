"""Meters: they add up on the score's device, without waiting for it, and merge through their state."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from benchdog.api import Batch

Loss = Callable[[Tensor, Batch], "tuple[Tensor, float | Tensor]"]

RANKED = 20_000_000
"""The most scores (samples x classes) that are kept to compute ROC AUC exactly: 80 MB."""


class Sums:
    """Tensors that add up: the base of every meter here. The loss's sum and weight are two of them."""

    def __init__(self, loss: Loss, **sums: Tensor) -> None:
        self.loss = loss
        self.sums = {"loss": wide(0.0), "weight": wide(0.0), **sums}

    def state(self) -> dict[str, Tensor]:
        """Give all that was added up; a new meter that merges it goes on from there."""
        return {name: value.clone() for name, value in self.sums.items()}

    def merge(self, state: Mapping[str, Tensor]) -> None:
        """Add another meter's state."""
        for name, value in self.sums.items():
            self.sums[name] = value + state[name].to(value.device)

    def follow(self, device: torch.device) -> None:
        """Move the sums to where the scores are, once."""
        if device.type == "mps":  # has no float64
            device = torch.device("cpu")
        if self.sums["loss"].device != device:
            self.sums = {name: value.to(device) for name, value in self.sums.items()}

    def add_loss(self, score: Tensor, batch: Batch) -> None:
        """Add a batch's loss and weight."""
        self.follow(score.device)
        total, weight = self.loss(score, batch)
        device = self.sums["loss"].device
        self.sums["loss"] += total.detach().to(device)
        self.sums["weight"] += weight.to(device) if isinstance(weight, Tensor) else weight

    def mean_loss(self) -> float:
        """Give the mean loss; not a number when nothing was added."""
        return float(self.sums["loss"] / self.sums["weight"])


class Kept(Sums):
    """Sums that also keep scores and targets, for what needs their order, until they are more than RANKED.

    Args:
        width: values of a sample's score.
        none: the targets of no samples.
    """

    def __init__(self, loss: Loss, width: int, none: Tensor, **sums: Tensor) -> None:
        super().__init__(loss, **sums)
        self.width, self.none = width, none
        self.scores: list[Tensor] = []
        self.targets: list[Tensor] = []
        self.seen = 0

    def keep(self, score: Tensor, target: Tensor, samples: int) -> None:
        """Keep scores and targets until there are too many."""
        self.seen += samples
        if self.seen * self.width > RANKED:
            self.scores, self.targets = [], []
        elif samples:
            # A copy: what was given may be a view of a buffer that is used again.
            self.scores.append(score.clone())
            self.targets.append(target.detach().clone())

    def state(self) -> dict[str, Tensor]:
        scores = torch.cat(self.scores) if self.scores else torch.zeros(0, self.width)
        targets = torch.cat(self.targets) if self.targets else self.none
        return {**super().state(), "scores": scores, "targets": targets, "seen": torch.tensor(self.seen)}

    def merge(self, state: Mapping[str, Tensor]) -> None:
        super().merge(state)
        device = self.sums["loss"].device
        self.scores = [score.to(device) for score in self.scores]
        self.targets = [target.to(device) for target in self.targets]
        self.keep(state["scores"].to(device), state["targets"].to(device), int(state["seen"]))


class ClassMeter(Kept):
    """Metrics of scores (B, classes) against class codes (B,).

    value() gives loss, accuracy, macro_f1 (over classes that occur or were answered), roc_auc (two
    classes: of the second; more: each against the rest, averaged over those that occur), confusion
    (rows: true classes) and per_class. roc_auc is exact and left out for more than RANKED scores.
    """

    def __init__(self, loss: Loss, classes: Sequence[str]) -> None:
        count = len(classes)
        codes = torch.zeros(0, dtype=torch.int64)
        super().__init__(loss, count, codes, confusion=torch.zeros(count * count, dtype=torch.int64))
        self.classes = classes

    @torch.no_grad()
    def add(self, score: Tensor, batch: Batch) -> None:
        self.add_loss(score, batch)
        count_pairs(self.sums["confusion"], score, batch.target, len(self.classes))
        self.keep(score.detach().float(), batch.target, score.shape[0])

    def value(self) -> dict[str, Any]:
        table = square(self.sums["confusion"], len(self.classes))
        right, rows, columns = table.diagonal(), table.sum(1), table.sum(0)
        f1 = ratio(2 * right, rows + columns)
        met = (rows + columns) > 0
        result: dict[str, Any] = {
            "loss": self.mean_loss(),
            "accuracy": float(ratio(right.sum(), table.sum())),
            "macro_f1": float(f1[met].mean()) if met.any() else 0.0,
        }
        if self.scores and (area := roc_auc(torch.cat(self.scores), torch.cat(self.targets))) is not None:
            result["roc_auc"] = area
        result["confusion"] = table.long().tolist()
        result["per_class"] = by_class(
            self.classes,
            precision=ratio(right, columns),
            recall=ratio(right, rows),
            f1=f1,
            support=rows,
        )
        return result


class MaskMeter(Sums):
    """Metrics of scores (B, classes, ...) against masks (B, ...), over all pixels together.

    iou and dice are means over the foreground, all classes but the first, as far as they occur or were
    answered; 0 when none was. value() also gives loss, pixel_accuracy, confusion and per_class. Pixels of the
    code `ignore` count nowhere.
    """

    def __init__(self, loss: Loss, classes: Sequence[str], ignore: int | None = None) -> None:
        super().__init__(loss, confusion=torch.zeros(len(classes) ** 2, dtype=torch.int64))
        self.classes = classes
        self.ignore = ignore

    @torch.no_grad()
    def add(self, score: Tensor, batch: Batch) -> None:
        self.add_loss(score, batch)
        count_pairs(self.sums["confusion"], score, batch.target, len(self.classes), self.ignore)

    def value(self) -> dict[str, Any]:
        table = square(self.sums["confusion"], len(self.classes))
        right, rows, columns = table.diagonal(), table.sum(1), table.sum(0)
        both = rows + columns
        iou, dice = ratio(right, both - right), ratio(2 * right, both)
        met = both > 0
        met[0] = False
        return {
            "loss": self.mean_loss(),
            "iou": float(iou[met].mean()) if met.any() else 0.0,
            "dice": float(dice[met].mean()) if met.any() else 0.0,
            "pixel_accuracy": float(ratio(right.sum(), table.sum())),
            "confusion": table.long().tolist(),
            "per_class": by_class(self.classes, iou=iou, dice=dice, support=rows),
        }


class NumberMeter(Sums):
    """Metrics of numbers, in the target's units: loss, mae, rmse, r2, each a mean over the targets.

    Args:
        loss: the task's loss, in its own units.
        names: of the targets; per_target is given when there are several.
        mean: and `std`, (targets,) float64: score * std + mean is in the target's units. Sums are taken
            around the mean, so that a target far from zero loses no digits.
    """

    def __init__(self, loss: Loss, names: Sequence[str], mean: Tensor, std: Tensor) -> None:
        # Per target: sums of the absolute and the squared error, of the target and of its square.
        super().__init__(loss, count=wide(0.0), moments=torch.zeros(4, len(names), dtype=torch.float64))
        self.names = names
        self.mean = mean
        self.std = std

    @torch.no_grad()
    def add(self, score: Tensor, batch: Batch) -> None:
        self.add_loss(score, batch)
        device = self.sums["loss"].device
        self.mean, self.std = self.mean.to(device), self.std.to(device)
        said = score.to(device).double().reshape(-1, len(self.names)) * self.std
        target = batch.target.to(device).double().reshape(-1, len(self.names)) - self.mean  # (B, targets)
        error = said - target
        self.sums["count"] += len(score)
        self.sums["moments"] += torch.stack([error.abs(), error.square(), target, target.square()]).sum(1)

    def value(self) -> dict[str, Any]:
        n = float(self.sums["count"])
        columns: dict[str, list[float]] = {"mae": [], "rmse": [], "r2": []}
        for absolute, squared, total, squares in self.sums["moments"].T.tolist():
            spread = squares - total**2 / n if n else math.nan
            columns["mae"].append(absolute / n if n else math.nan)
            columns["rmse"].append(math.sqrt(squared / n) if n else math.nan)
            # A target that doesn't vary has no R2: 1 if it is hit, else 0, as scikit-learn has it.
            columns["r2"].append(1 - squared / spread if spread > 0 else float(squared == 0))
        result: dict[str, Any] = {"loss": self.mean_loss()}
        result |= {name: sum(column) / len(column) for name, column in columns.items()}
        if len(self.names) > 1:
            result["per_target"] = {
                name: {key: column[k] for key, column in columns.items()} for k, name in enumerate(self.names)
            }
        return result


# --- arithmetic ------------------------------------------------------------------------------------


def wide(value: float) -> Tensor:
    """Make a float64 scalar."""
    return torch.tensor(value, dtype=torch.float64)


def ratio(part: Tensor, whole: Tensor) -> Tensor:
    """Divide, giving 0 where there is nothing to divide by."""
    return torch.where(whole > 0, part / whole.clamp(min=1), 0.0)


def square(confusion: Tensor, classes: int) -> Tensor:
    """Bring a flat confusion matrix to the CPU as (true, answered), float64 (exact up to 2**53)."""
    return confusion.cpu().double().view(classes, classes)


def count_pairs(confusion: Tensor, score: Tensor, target: Tensor, classes: int, ignore: int | None = None) -> None:
    """Count each pair of true and answered class in a flat matrix; scores are (B, classes, ...)."""
    # max gives the place ten times as fast as argmax does along an inner axis on a CPU.
    count_answers(confusion, score.max(1).indices, target, classes, ignore)


def count_answers(
    confusion: Tensor, answered: Tensor, target: Tensor, classes: int, ignore: int | None = None
) -> None:
    """Count each pair of true and answered code (B, ...) in a flat matrix."""
    # index_add_ doesn't make a GPU wait as bincount does.
    target, counts = target.long(), None
    if ignore is not None:
        counts = (target != ignore).long()
        target = target * counts
    pairs = (target * classes + answered).reshape(-1).to(confusion.device)
    counts = torch.ones_like(pairs) if counts is None else counts.reshape(-1).to(confusion.device)
    confusion.index_add_(0, pairs, counts)


def by_class(names: Sequence[str], **columns: Tensor) -> dict[str, dict[str, float | int]]:
    """Turn columns of numbers into {name: {column: number}}; `support` is a count."""
    return {
        name: {key: int(c[i]) if key == "support" else float(c[i]) for key, c in columns.items()}
        for i, name in enumerate(names)
    }


def roc_auc(score: Tensor, target: Tensor) -> float | None:
    """Compute the area under the ROC curve from all scores (N, classes); None when one class is alone."""
    score, target = score.cpu().double(), target.cpu()
    if not score.isfinite().all():
        return float("nan")
    if score.shape[1] == 2:
        return area(score[:, 1] - score[:, 0], target == 1)
    probability = score.softmax(1)
    areas = [area(probability[:, k], target == k) for k in range(score.shape[1])]
    there = [a for a in areas if a is not None]
    return sum(there) / len(there) if there else None


def area(score: Tensor, positive: Tensor) -> float | None:
    """Give the share of (positive, negative) pairs in the right order, ties counting half."""
    count = int(positive.sum())
    others = len(positive) - count
    if not count or not others:
        return None
    _, place, times = torch.unique(score, return_inverse=True, return_counts=True)
    last = times.cumsum(0).double()
    rank = last - (times.double() - 1) / 2  # the mean rank of equal scores, from 1
    return (float(rank[place[positive]].sum()) - count * (count + 1) / 2) / (count * others)
