"""Test cases for every task and loss, with random scores and targets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from benchdog.api import Batch, Field, Spec, Target
from benchdog.builtin.tasks.classification import Classification
from benchdog.builtin.tasks.embedding import Embedding
from benchdog.builtin.tasks.language import NextToken
from benchdog.builtin.tasks.losses.named import CODES, ROWS
from benchdog.builtin.tasks.multilabel import MultiLabel
from benchdog.builtin.tasks.options import (
    ClassificationOptions,
    EmbeddingOptions,
    LabelsOptions,
    NextTokenOptions,
    OrdinalOptions,
    RegressionOptions,
    SegmentationOptions,
)
from benchdog.builtin.tasks.ordinal import Ordinal
from benchdog.builtin.tasks.regression import Regression
from benchdog.builtin.tasks.segmentation import Segmentation

IMAGE = Field(kind="image", shape=(1, 3, 4), dtype="uint8")
VOLUME = Field(kind="volume", shape=(1, 2, 3, 2), dtype="int16")
TOKENS = Field(kind="tokens", shape=(5,), dtype="int64")
NAMES = ("10", "9", "100", "1")
BY_NAME = {"9": 2.5, "1": 0.5}
IGNORED = 255


def fixed(shape: tuple[int | None, ...]) -> tuple[int, ...]:
    """Return a shape whose axes all have a length."""
    lengths = tuple(length for length in shape if length is not None)
    assert len(lengths) == len(shape), shape
    return lengths


def spec_of(kind: str, shape: tuple[int, ...] = (), field: Field = IMAGE, classes: tuple[str, ...] = NAMES) -> Spec:
    return Spec(fields=(field,), target=Target(kind=kind, classes=classes, shape=shape))


@dataclass(frozen=True)
class Case:
    """A task with options, its spec, and whether targets may be blended."""

    make: Callable[[], Any]
    spec: Spec
    soft: bool = False
    ignored: float = 0.0

    def task(self, n: int = 40) -> Any:
        """Return the task, checked and fitted on some targets."""
        task = self.make()
        task.check(self.spec)
        fit = getattr(task, "fit", None)
        if fit is not None:
            targets = self.targets(n, 99)
            fit(iter([targets[:7], targets[7:]]))
        return task

    def targets(self, n: int, seed: int) -> Tensor:
        """Draw targets (n, ...)."""
        g = torch.Generator().manual_seed(seed)
        kind, shape = self.spec.target.kind, fixed(self.spec.target.shape)
        if kind == "number":
            return torch.randn((n, *shape), generator=g) * 3 + 7
        if kind == "labels":
            return (torch.rand((n, *shape), generator=g) < 0.4).float()
        codes = torch.randint(0, self.spec.classes, (n, *shape), generator=g)
        if self.ignored:
            codes[torch.rand(codes.shape, generator=g) < self.ignored] = IGNORED
            codes[:: max(2, n // 3)] = IGNORED  # all of a sample
        return codes

    def blended(self, n: int, seed: int) -> Tensor:
        """Draw soft targets (n, classes), some of them one-hot."""
        g = torch.Generator().manual_seed(seed)
        rows = torch.rand((n, self.spec.classes), generator=g).softmax(1)
        rows[::3] = torch.eye(self.spec.classes)[torch.randint(0, self.spec.classes, (len(rows[::3]),), generator=g)]
        return rows

    def scores(self, n: int, seed: int) -> Tensor:
        """Draw scores (n, ...)."""
        g = torch.Generator().manual_seed(seed + 1000)
        return torch.randn((n, *self.make().output(self.spec)), generator=g)


def classification(**options: Any) -> Case:
    return Case(lambda: Classification(ClassificationOptions(**options)), spec_of("class"), soft=True)


def ordinal(**options: Any) -> Case:
    return Case(lambda: Ordinal(OrdinalOptions(**options)), spec_of("class"), soft=True)


def segmentation(ignored: float = 0.3, field: Field = IMAGE, **options: Any) -> Case:
    ignore = IGNORED if ignored else None
    make = lambda: Segmentation(SegmentationOptions(ignore=ignore, **options))  # noqa: E731
    return Case(make, spec_of("mask", tuple(n or 0 for n in field.shape[1:]), field), ignored=ignored)


def regression(count: int, **options: Any) -> Case:
    shape = (count,) if count > 1 else ()
    return Case(lambda: Regression(RegressionOptions(**options)), spec_of("number", shape, classes=()))


def labels(**options: Any) -> Case:
    return Case(lambda: MultiLabel(LabelsOptions(**options)), spec_of("labels", (len(NAMES),)))


WEIGHTS: tuple[Any, ...] = ("none", "balanced", BY_NAME)
CASES: dict[str, Case] = {
    **{
        f"classification {criterion} {weights} {smoothing}": classification(
            criterion=criterion, class_weights=weights, label_smoothing=smoothing
        )
        for criterion in ("cross-entropy", "focal")
        for weights in WEIGHTS
        for smoothing in (0.0, 0.2)
    },
    **{f"classification {name}": classification(criterion=name, class_weights=BY_NAME) for name in (*CODES, *ROWS)},
    **{
        f"ordinal {loss} {weights}": ordinal(loss=loss, class_weights=weights)
        for loss in ("thresholds", "likelihood")
        for weights in WEIGHTS
    },
    **{
        f"segmentation {loss} {weights} {ignored}": segmentation(ignored, loss=loss, class_weights=weights)
        for loss in ("cross-entropy", "focal", "dice", "dice+cross-entropy")
        for weights in WEIGHTS
        for ignored in (0.0, 0.3)
    },
    "segmentation in space": segmentation(field=VOLUME, loss="dice+cross-entropy", class_weights="balanced"),
    **{f"regression {loss}": regression(2, loss=loss) for loss in ("mse", "mae", "huber", "SmoothL1Loss", "L1Loss")},
    "regression of one": regression(1),
    "multi-label": labels(),
    "multi-label balanced": labels(pos_weight="balanced"),
    "next-token": Case(lambda: NextToken(NextTokenOptions()), spec_of("next-token", (5,), TOKENS), soft=False),
    "next-token ignoring": Case(
        lambda: NextToken(NextTokenOptions(ignore=IGNORED)), spec_of("next-token", (5,), TOKENS), ignored=0.3
    ),
}
"""Tasks whose loss is additive over samples."""
MIXED: dict[str, Case] = {
    "batch-dice": segmentation(loss="batch-dice"),
    "embedding": Case(lambda: Embedding(EmbeddingOptions(dim=6)), spec_of("class"), soft=True),
}
"""Tasks whose loss depends on the whole batch."""


def loss_of(task: Any, score: Tensor, target: Tensor, weight: Tensor | None = None) -> tuple[Tensor, float, Tensor]:
    """Return the loss's sum, its weight and the gradient; `weight` are sample weights."""
    score = score.clone().requires_grad_()
    total, weight = task.loss(score, Batch((), target, weight=weight))
    assert total.shape == ()
    total.backward()
    assert not (isinstance(weight, torch.Tensor) and weight.requires_grad)
    assert score.grad is not None
    return total.detach(), float(weight), score.grad
