"""Meters: accumulate statistics on the score's device without synchronizing, and merge through their state."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchdog.api import Batch, Metric, compute_metrics
from benchdog.builtin.tasks.metrics import definitions as d
from benchdog.builtin.tasks.metrics.per_sample import CLASS_METRICS, MASK_METRICS, NUMBER_METRICS, one_of, ranking

Array = NDArray[Any]
Loss = Callable[[Tensor, Batch], "tuple[Tensor, float | Tensor]"]

RANKED = 20_000_000
"""The most scores (samples x classes) that are kept to compute ROC AUC exactly: 80 MB."""


class SumMeter:
    """Tensors that add up: the base of the meters here. The sums of the loss and of its weight are two of them."""

    def __init__(self, loss: Loss, metrics: Sequence[Metric], **sums: Tensor) -> None:
        self.loss = loss
        self.metrics = metrics
        self.sums = {"loss": wide(0.0), "weight": wide(0.0), **sums}

    def state(self) -> dict[str, Tensor]:
        """Return all that was accumulated; a new meter that merges it continues from there."""
        return {name: value.clone() for name, value in self.sums.items()}

    def merge(self, state: Mapping[str, Tensor]) -> None:
        """Add another meter's state."""
        for name, value in self.sums.items():
            self.sums[name] = value + state[name].to(value.device)

    def follow(self, device: torch.device) -> None:
        """Move the sums to the scores' device, once."""
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

    def statistics(self) -> dict[str, Array]:
        """Return what the metrics are computed from, each (1, ...): see `benchdog.api.Statistics`."""
        return {name: self.numpy(name)[None] for name in ("loss", "weight")}

    def numpy(self, name: str) -> Array:
        """Copy a sum to the CPU as float64, which is exact for counts up to 2**53."""
        return np.asarray(self.sums[name].cpu().double().numpy())

    def scalars(self, statistics: dict[str, Array]) -> dict[str, Any]:
        """Compute the metrics."""
        with np.errstate(all="ignore"):
            return {name: float(value[0]) for name, value in compute_metrics(self.metrics, statistics).items()}


class RankingMeter(SumMeter):
    """Sums, and scores with their targets for what depends on their order, until they are more than RANKED.

    Args:
        width: values of a sample's score.
        none: the targets of no samples.
    """

    def __init__(self, loss: Loss, metrics: Sequence[Metric], width: int, none: Tensor, **sums: Tensor) -> None:
        super().__init__(loss, metrics, **sums)
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

    def kept(self) -> tuple[Array, Array] | None:
        """Return scores (N, width) and targets; None when there are none, or were too many."""
        if not self.scores:
            return None
        return torch.cat(self.scores).cpu().numpy(), torch.cat(self.targets).cpu().numpy()


class ClassMeter(RankingMeter):
    """Metrics of scores (B, classes) against class codes (B,); also confusion (rows: actual) and per_class.

    roc_auc (two classes: of the second; more: one against the rest, averaged over those that occur) is exact, and
    left out for more than RANKED scores.
    """

    def __init__(self, loss: Loss, classes: Sequence[str], metrics: Sequence[Metric] = CLASS_METRICS) -> None:
        count = len(classes)
        codes = torch.zeros(0, dtype=torch.int64)
        super().__init__(loss, metrics, count, codes, confusion=torch.zeros(count * count, dtype=torch.int64))
        self.classes = classes

    @torch.no_grad()
    def add(self, score: Tensor, batch: Batch) -> None:
        self.add_loss(score, batch)
        count_pairs(self.sums["confusion"], score, batch.target, len(self.classes))
        self.keep(score.detach().float(), batch.target, score.shape[0])

    def statistics(self) -> dict[str, Array]:
        found = {**super().statistics(), **counts(self.numpy("confusion"), len(self.classes))}
        if (kept := self.kept()) is not None:
            found["ranking"] = ranking(kept[0])
            found["ranking_truth"] = one_of(kept[1], len(self.classes))
            found["weights"] = np.ones((len(kept[0]), 1), np.float32)
        return found

    def value(self) -> dict[str, Any]:
        s = self.statistics()
        return {
            **self.scalars(s),
            "confusion": square(self.numpy("confusion"), len(self.classes)).astype(int).tolist(),
            "per_class": class_table(self.classes, s),
        }


class MaskMeter(SumMeter):
    """Metrics of scores (B, classes, ...) against masks (B, ...), over all pixels together.

    iou and dice are means over the foreground, all classes but the first, as far as they occur or were
    predicted; 0 when none was. value() also has confusion and per_class. Pixels of the code `ignore` count nowhere.
    """

    def __init__(
        self, loss: Loss, classes: Sequence[str], ignore: int | None = None, metrics: Sequence[Metric] = MASK_METRICS
    ) -> None:
        super().__init__(loss, metrics, confusion=torch.zeros(len(classes) ** 2, dtype=torch.int64))
        self.classes = classes
        self.ignore = ignore

    @torch.no_grad()
    def add(self, score: Tensor, batch: Batch) -> None:
        self.add_loss(score, batch)
        count_pairs(self.sums["confusion"], score, batch.target, len(self.classes), self.ignore)

    def statistics(self) -> dict[str, Array]:
        return {**super().statistics(), **counts(self.numpy("confusion"), len(self.classes))}

    def value(self) -> dict[str, Any]:
        s = self.statistics()
        return {
            **self.scalars(s),
            "confusion": square(self.numpy("confusion"), len(self.classes)).astype(int).tolist(),
            "per_class": by_class(
                self.classes, iou=d.iou_by_class(s)[0], dice=d.f1_by_class(s)[0], support=s["support"][0]
            ),
        }


class NumberMeter(SumMeter):
    """Metrics of numbers in the target's units, each a mean over the targets; per_target where there are several.

    Args:
        loss: the task's loss, in its own units.
        names: of the targets.
        mean: and `std`, (targets,) float64: score * std + mean is in the target's units. Sums are taken
            around the mean, so that a target far from zero loses no digits.
    """

    def __init__(
        self,
        loss: Loss,
        names: Sequence[str],
        mean: Tensor,
        std: Tensor,
        metrics: Sequence[Metric] = NUMBER_METRICS,
    ) -> None:
        # Per target: sums of the absolute and the squared error, of the target and of its square.
        super().__init__(loss, metrics, count=wide(0.0), moments=torch.zeros(4, len(names), dtype=torch.float64))
        self.names = names
        self.mean = mean
        self.std = std

    @torch.no_grad()
    def add(self, score: Tensor, batch: Batch) -> None:
        self.add_loss(score, batch)
        device = self.sums["loss"].device
        self.mean, self.std = self.mean.to(device), self.std.to(device)
        predicted = score.to(device).double().reshape(-1, len(self.names)) * self.std
        target = batch.target.to(device).double().reshape(-1, len(self.names)) - self.mean  # (B, targets)
        error = predicted - target
        self.sums["count"] += len(score)
        self.sums["moments"] += torch.stack([error.abs(), error.square(), target, target.square()]).sum(1)

    def statistics(self) -> dict[str, Array]:
        names = ("absolute_error", "squared_error", "target", "target_squared")
        moments = zip(names, self.numpy("moments")[:, None], strict=True)
        return {**super().statistics(), "samples": self.numpy("count")[None], **dict(moments)}

    def value(self) -> dict[str, Any]:
        s = self.statistics()
        result = self.scalars(s)
        if len(self.names) > 1:
            with np.errstate(all="ignore"):
                columns = {
                    "mae": d.mae_by_target(s)[0], "rmse": d.rmse_by_target(s)[0], "r2": d.r2_by_target(s)[0],
                }  # fmt: skip
            result["per_target"] = {
                name: {key: float(column[k]) for key, column in columns.items()} for k, name in enumerate(self.names)
            }
        return result


class ImageMeter(SumMeter):
    """Errors of predicted images (B, C, H, W) in the target's units, averaged over each image's values.

    Args:
        loss: the task's loss.
        head: from scores to predictions.
        metrics: of the sums of the errors.
    """

    def __init__(self, loss: Loss, head: Callable[[Tensor], Tensor], metrics: Sequence[Metric]) -> None:
        super().__init__(loss, metrics, count=wide(0.0), errors=torch.zeros(2, dtype=torch.float64))
        self.head = head

    @torch.no_grad()
    def add(self, score: Tensor, batch: Batch) -> None:
        self.add_loss(score, batch)
        error = (self.head(score).double() - batch.target).flatten(1).to(self.sums["loss"].device)
        self.sums["count"] += len(score)
        self.sums["errors"] += torch.stack([error.abs().mean(1), error.square().mean(1)]).sum(1)

    def statistics(self) -> dict[str, Array]:
        absolute, squared = self.numpy("errors")[:, None, None]
        samples = self.numpy("count")[None]
        return {**super().statistics(), "samples": samples, "absolute_error": absolute, "squared_error": squared}

    def value(self) -> dict[str, Any]:
        return self.scalars(self.statistics())


# --- counting


def wide(value: float) -> Tensor:
    """Build a float64 scalar."""
    return torch.tensor(value, dtype=torch.float64)


def square(confusion: Array, classes: int) -> Array:
    """Reshape a flat confusion matrix to (actual, predicted)."""
    return confusion.reshape(classes, classes)


def counts(confusion: Array, classes: int) -> dict[str, Array]:
    """Return the statistics by class, (1, classes) each, of a flat confusion matrix."""
    table = square(confusion, classes)
    return {"right": table.diagonal()[None], "support": table.sum(1)[None], "predicted": table.sum(0)[None]}


def count_pairs(confusion: Tensor, score: Tensor, target: Tensor, classes: int, ignore: int | None = None) -> None:
    """Count each pair of actual and predicted class in a flat matrix; scores are (B, classes, ...)."""
    # On a CPU, max returns the index ten times as fast as argmax does along an inner axis.
    count_predictions(confusion, score.max(1).indices, target, classes, ignore)


def count_predictions(
    confusion: Tensor, predicted: Tensor, target: Tensor, classes: int, ignore: int | None = None
) -> None:
    """Count each pair of actual and predicted code (B, ...) in a flat matrix."""
    # index_add_ doesn't make a GPU wait as bincount does.
    target, counted = target.long(), None
    if ignore is not None:
        counted = (target != ignore).long()
        target = target * counted
    pairs = (target * classes + predicted).reshape(-1).to(confusion.device)
    counted = torch.ones_like(pairs) if counted is None else counted.reshape(-1).to(confusion.device)
    confusion.index_add_(0, pairs, counted)


def class_table(names: Sequence[str], s: dict[str, Array], **more: Array) -> dict[str, dict[str, float | int]]:
    """Return precision, recall, F1 and support by class, from statistics (1, classes)."""
    columns = {
        "precision": d.ratio(s["right"], s["predicted"])[0],
        "recall": d.ratio(s["right"], s["support"])[0],
        "f1": d.f1_by_class(s)[0],
        "support": s["support"][0],
    }
    return by_class(names, **columns, **more)


def by_class(names: Sequence[str], **columns: Array) -> dict[str, dict[str, float | int]]:
    """Turn columns of numbers into {name: {column: number}}; `support` is a count."""
    return {
        name: {key: int(c[i]) if key == "support" else float(c[i]) for key, c in columns.items()}
        for i, name in enumerate(names)
    }
