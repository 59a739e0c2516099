"""Test cases of gradient accumulation: every shipped model with random data and a task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from benchdog.api import Column, Field, Raw, Spec, Target
from benchdog.plugins.context import PluginContext
from benchdog.recipe.draft import Draft
from benchdog.recipe.layers import flags
from benchdog.runs import state
from benchdog.runs.run import Run
from benchdog.training.progress import Progress
from benchdog.training.rank import staged
from benchdog.training.resolve import resolve
from benchdog.training.session import Session
from benchdog.training.setup import Components, rebuilt
from support.task_cases import fixed

NAMES = ("one", "two", "three")
IGNORED = 255
COLUMNS = (
    Column(name="a"),
    Column(name="b"),
    Column(name="color", kind="category", categories=("red", "blue")),
)
FIELDS = {
    "image": Field(kind="image", shape=(1, 8, 8), dtype="uint8", range=(0, 255)),
    "volume": Field(kind="volume", shape=(1, 8, 8, 8), dtype="uint8", range=(0, 255)),
    "table": Field(kind="table", shape=(3,), dtype="float32", columns=COLUMNS),
    "tokens": Field(kind="tokens", shape=(6,), dtype="int64", range=(0, 2)),
}


@dataclass(frozen=True)
class Case:
    """A model, the kinds of field and target, and settings of the recipe."""

    model: str
    fields: str
    target: Target
    settings: Mapping[str, Any] = field(default_factory=dict)
    ignored: float = 0.0


def classification(model: str, kind: str, **settings: Any) -> Case:
    return Case(model, kind, Target(kind="class", classes=NAMES), settings)


def numbers(model: str, kind: str, **settings: Any) -> Case:
    return Case(model, kind, Target(kind="number", shape=(2,), dtype="float32"), settings)


def labels(model: str, kind: str, **settings: Any) -> Case:
    return Case(model, kind, Target(kind="labels", classes=NAMES, shape=(3,), dtype="float32"), settings)


def mask(model: str, settings: Mapping[str, Any], kind: str = "image", ignored: float = 0.3) -> Case:
    shape = FIELDS[kind].shape[1:]
    more = {"task.ignore": IGNORED} if ignored else {}
    return Case(model, kind, Target(kind="mask", classes=NAMES, shape=shape), {**more, **settings}, ignored)


def tokens(model: str, ignored: float = 0.0, **settings: Any) -> Case:
    more = {"task.ignore": IGNORED} if ignored else {}
    target = Target(kind="next-token", classes=NAMES, shape=(6,))
    return Case(model, "tokens", target, {**more, **settings}, ignored)


BALANCED: dict[str, Any] = {"task.class_weights": "balanced"}
SPLITTABLE: dict[str, Case] = {
    "linear": classification("linear", "image"),
    "mlp": classification("mlp", "image", **BALANCED),
    "mlp with smoothing": classification("mlp", "table", **{"task.label_smoothing": 0.1}),
    "mlp with focal loss": classification("mlp", "table", **{"task.criterion": "focal", **BALANCED}),
    "mlp with torch's margin": classification("mlp", "table", **{"task.criterion": "MultiMarginLoss", **BALANCED}),
    "mlp ordinal": classification("mlp", "table", **{"task.name": "ordinal", **BALANCED}),
    "mlp ordinal likelihood": classification("mlp", "table", **{"task.name": "ordinal", "task.loss": "likelihood"}),
    "mlp of numbers": numbers("mlp", "table"),
    "mlp of numbers with huber": numbers("mlp", "table", **{"task.loss": "huber"}),
    "mlp of labels": labels("mlp", "table", **{"task.pos_weight": "balanced"}),
    "tabular": classification("tabular", "table", **{"model.dropout": 0.0}),
    "tabular of numbers": numbers("tabular", "table", **{"model.dropout": 0.0}),
    "cnn": classification(
        "cnn", "image", **{"model.width": 4, "model.hidden": 16, "task.label_smoothing": 0.2, **BALANCED}
    ),
    "cnn of volumes": labels("cnn", "volume", **{"model.width": 4, "model.hidden": 16}),
    "vit": classification("vit", "image"),
    "unet": mask("unet", {"model.width": 4, **BALANCED}),
    "unet with dice": mask("unet", {"model.width": 4, "task.loss": "dice+cross-entropy"}),
    "unet with deep supervision": mask("unet", {"model.width": 4, "model.deep_supervision": True}),
    "unet of volumes": mask("unet", {"model.width": 4, "task.loss": "focal"}, "volume", 0.0),
    "gpt": tokens("gpt", **{"model.width": 16, "model.heads": 2, "model.layers": 1}),
    "gpt with ignored tokens": tokens("gpt", 0.3, **{"model.width": 16, "model.heads": 2, "model.layers": 1}),
    "transformer": classification("transformer", "tokens", **{"model.dropout": 0.0}),
    "transformer of numbers": numbers("transformer", "tokens", **{"model.dropout": 0.0}),
}


BATCH_DEPENDENT_MODELS = {
    "resnet": classification("resnet", "image", **{"model.width": 8}),
}
"""Models that depend on the batch with any options."""
BATCH_DEPENDENT = {
    **BATCH_DEPENDENT_MODELS,
    "unet of batches": mask("unet", {"model.norm": "batch", "model.width": 4}),
    "batch-dice": mask("unet", {"task.loss": "batch-dice", "model.width": 4}),
    "embedding": classification("mlp", "table", **{"task.name": "embedding"}),
    "a mean": numbers("mlp", "table", **{"task.loss": "support.accumulation_cases:Mean"}),
}


class RandomSource:
    """A source of random samples, some of them with weights."""

    def __init__(self, case: Case, samples: int, weights: str, seed: int, valid: int) -> None:
        self.case, self.samples, self.weights, self.seed, self.valid = case, samples, weights, seed, valid

    def spec(self) -> Spec:
        return Spec(fields=(FIELDS[self.case.fields],), target=self.case.target)

    def open(self) -> dict[str, list[Raw]]:
        return {"train": self.raws(self.samples, 0), "valid": self.raws(self.valid, 1)}

    def raws(self, count: int, number: int) -> list[Raw]:
        draw = np.random.default_rng([self.seed, number])
        weights = {
            "none": [None] * count,
            "whole": [float(w) for w in draw.integers(0, 3, count)],
            "any": (draw.random(count) * 3).tolist(),
        }[self.weights]
        if weights[0] is not None:
            weights[-1] = 1.0  # at least one sample counts
        return [
            Raw(id=str(i), fields={"input": self.values(draw)}, target=self.target(draw), weight=weights[i])
            for i in range(count)
        ]

    def values(self, draw: np.random.Generator) -> Any:
        of = FIELDS[self.case.fields]
        if of.kind == "table":
            a, b = draw.normal(size=2)
            return {"a": float(a), "b": float(b), "color": str(draw.choice(["red", "blue", ""]))}
        if of.kind == "tokens":
            return draw.integers(0 if self.case.target.kind == "next-token" else 1, 3, fixed(of.shape))
        return draw.integers(0, 256, fixed(of.shape)).astype(np.uint8)

    def target(self, draw: np.random.Generator) -> Any:
        kind, shape = self.case.target.kind, fixed(self.case.target.shape)
        if kind == "number":
            return draw.normal(5, 2, shape)
        if kind == "labels":
            return (draw.random(shape) < 0.4).astype(np.float32)
        codes = draw.integers(0, len(NAMES), shape)
        if self.case.ignored:
            codes = np.where(draw.random(shape) < self.case.ignored * draw.integers(0, 4), IGNORED, codes)
        return codes


class ListedSource:
    """A source with replaced training samples."""

    def __init__(self, source: RandomSource, train: list[Raw]) -> None:
        self.source, self.train = source, train

    def spec(self) -> Spec:
        return self.source.spec()

    def open(self) -> dict[str, list[Raw]]:
        return {**self.source.open(), "train": self.train}


class Mean(torch.nn.Module):
    """A criterion that returns the mean over a batch."""

    def forward(self, score: Tensor, target: Tensor) -> Tensor:
        return (score - target).square().mean()


def resolve_case(
    case: Case, samples: int = 11, weights: str = "none", seed: int = 0, valid: int = 5, **more: Any
) -> Components:
    """Resolve a run on random samples."""
    given = {"model.name": case.model, "backend.name": "cpu", "loop.log_every": 1}
    draft = Draft(flags({**given, **case.settings, **more}, []), PluginContext().plugins())
    return resolve(draft, {"source": RandomSource(case, samples, weights, seed, valid)})


class Epoch(NamedTuple):
    """Gradients of each step, logged losses, metrics of the validation split, and buffers of the model."""

    gradients: list[list[Tensor]]
    losses: np.ndarray
    metrics: dict[str, Any]
    buffers: list[Tensor]


def run_epoch(
    parts: Components, batch: int, accumulate: int, fitted: Any = None, *, rank: int = 0, world: int = 1
) -> Epoch:
    """Run an epoch without updating the weights.

    `fitted` is the fitted state of another run, to be used instead of its own.
    """
    parts = rebuilt(parts.with_values({"loop.batch_size": batch, "loop.accumulate": accumulate}))
    with TemporaryDirectory() as place:
        run = Run(Path(place), {"name": "made"})
        (run.folder / "checkpoints").mkdir()
        parts.fit(run.folder)
        if fitted is not None:
            path = run.folder / "fitted.safetensors"
            state.write(path, {**state.read(path), "transform": fitted["transform"], "task": fitted["task"]})
        with staged(run, parts, rank, world) as given:
            session = Session(model=parts.build(), progress=Progress(0, 0, quiet=True), **given)
            session.model.train()
            gradients = [list(step) for step in _steps(session)]
            metrics = session.evaluate("valid")
            session.close()
        log = run.folder / "losses.f32"
        losses = np.frombuffer(log.read_bytes() if log.is_file() else b"", "<f4")
    return Epoch(gradients, losses, metrics, list(session.model.buffers()))


def _steps(session: Session) -> Any:
    for batch in session.batches():
        loss, weight = session.task.loss(session.model(*batch.inputs), batch)
        session.backward(loss, weight, batch)
        if batch.last:
            yield [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in session.model.parameters()]
            session.model.zero_grad(set_to_none=True)
            session.step_done(loss.detach(), weight)
