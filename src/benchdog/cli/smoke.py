"""Smoke test: every stage of a run on one batch (train, resume, overfit, save, export, predict); nothing is kept."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchdog import pipeline
from benchdog.api import BatchSplit, MetricsLog, Raw, Split
from benchdog.data.dataset import DecodedSplit
from benchdog.data.splits import DataSplits
from benchdog.deployment.export import export
from benchdog.errors import BadUsage
from benchdog.model.load import open_model
from benchdog.recipe.draft import Draft
from benchdog.recipe.resolved import write_resolved
from benchdog.runs.checkpoints import Checkpoints
from benchdog.runs.document import describe
from benchdog.runs.run import Run
from benchdog.system import terminal
from benchdog.training.rank import check_trainer, train_rank
from benchdog.training.resolve import measure, resolve
from benchdog.training.resolve.batch_dependence import refuse_single_samples

SECONDS = 8.0
"""Time limit for overfitting the batch."""
HALF = 0.5
FITTED = 0.1
"""Fraction of the initial loss below which a batch counts as overfitted."""


class Subset:
    """A subset of a split, as torch.utils.data.Subset."""

    def __init__(self, split: Split, positions: Sequence[int]) -> None:
        self._split, self._positions = split, positions
        if isinstance(split, BatchSplit):
            self.batch = lambda indices: split.batch([positions[i] for i in indices])

    def __len__(self) -> int:
        return len(self._positions)

    def raw(self, i: int, /) -> Raw:
        return self._split.raw(self._positions[i])


def smoke_test(
    draft: Draft, quiet: bool = False, on_stage: Callable[[Mapping[str, Any]], None] | None = None
) -> list[dict[str, Any]]:
    """Run every stage on one batch; return an entry per stage, passed to `on_stage` as it ends.

    Raises:
        BenchdogError: as a run would.
    """
    lines: list[dict[str, Any]] = []

    def stage(name: str, work: Callable[[], str]) -> None:
        start = time.perf_counter()
        result = work()
        lines.append({"stage": name, "seconds": round(time.perf_counter() - start, 2), "said": result})
        if on_stage is not None:
            on_stage(lines[-1])
        if not quiet:
            terminal.show(f"{name:<12} {result}  ({lines[-1]['seconds']:.1f} s)")

    with tempfile.TemporaryDirectory(prefix="benchdog-smoke-") as folder:
        stages = _Stages(draft, Path(folder))
        for name in ("train", "resume", "overfit", "artifact", "export", "predict"):
            stage(name, getattr(stages, name))
    return lines


class _Stages:
    """The stages, in their order; each returns what it did."""

    def __init__(self, draft: Draft, folder: Path) -> None:
        self.parts = measure(resolve(draft), ["output", "batch size", "memory format"]).components
        self.folder = folder
        self.run: Run | None = None

    def train(self) -> str:
        """Train one step on one batch."""
        parts = self.parts
        train = parts.data.of_name("train")
        if not isinstance(train, DecodedSplit):
            raise BadUsage("--smoke needs a map-style source; this one is a stream.", "Train a short run instead.")
        check_trainer(parts, parts.build())
        count = min(len(train), parts.recipe.loop.batch)
        subset = DecodedSplit(Subset(train.split, range(count)), train.spec, train.preprocess, train.plugins)
        values: dict[str, Any] = {"loop.epochs": 1, "loop.patience": 0, "loader.workers": 0}
        if parts.recipe.trainer.name == "supervised":
            # a schedule spans the run, and these stages differ in length
            values |= {"trainer.schedule": "constant", "trainer.schedule_options": {}, "trainer.warmup": 0.0}
        splits = {**parts.data.splits, **dict.fromkeys(("train", "valid", "test"), subset)}
        data = DataSplits(parts.data.spec, parts.data.preprocess, dict(splits))
        self.parts = parts = replace(parts, data=data).with_values(values)
        if not parts.brings_model:
            refuse_single_samples(parts)
        document = describe(parts.recipe, parts.task, parts.data.sizes())
        self.run = Run.create(self.folder, "smoke", {**document, "parameters": 0})
        write_resolved(self.run.folder, parts.recipe)
        self.trained, self.model = self._train()
        return f"{document['model']} on {count} samples, one step, checkpoint saved"

    def _train(self) -> Any:
        assert self.run is not None
        return train_rank(self.run, self.parts, quiet=True)

    def resume(self) -> str:
        """Resume from the checkpoint for a second step."""
        if self.trained is not None:
            return "skipped: this trainer fits in one call"
        self._epochs(2)
        self._train()
        return f"resumed, now at step {self._step()}"

    def overfit(self) -> str:
        """Check that the model can overfit a single batch."""
        if self.trained is not None:
            return "skipped: this trainer fits in one call"
        first = last = self._loss()
        epochs, end = 2, time.perf_counter() + SECONDS
        while time.perf_counter() < end and last > FITTED * first:
            epochs += 50
            self._epochs(epochs)
            self._train()
            last = self._loss()
        if last <= FITTED * first:
            verdict = "the model can overfit it"
        elif last < HALF * first:
            verdict = "still falling at the time limit"
        else:
            verdict = "NOT falling: check learning rate, model and targets"
        return f"loss {first:.4f} -> {last:.4f} after {self._step()} steps on one batch: {verdict}"

    def artifact(self) -> str:
        """Evaluate on the validation split; save model and report."""
        assert self.run is not None
        pipeline.finish(self.run, self.parts, self.trained, self.model)
        return "model and report saved"

    def export(self) -> str:
        """Export and verify."""
        if self.trained is not None:
            return "skipped: there is no graph to export"
        assert self.run is not None
        source = self.run.folder / "artifact"
        local = [Path(file) for file in self.parts.recipe.plugins]
        report = export(source, "torch-export", None, self.parts.plugins, local=local)
        worst = max(line["max_abs_diff"] for line in report["verification"])
        return f"torch-export verified, max abs. error {worst:.1e}"

    def predict(self) -> str:
        """Predict a raw sample."""
        assert self.run is not None
        opened = open_model(self.run.folder / "artifact", self.parts.plugins)
        train = self.parts.data.splits["train"]
        assert isinstance(train, DecodedSplit)
        raw = train.split.raw(0)
        values = opened.predict([raw])[0].values
        shown = {k: f"{v:.3g}" if isinstance(v, float) else v for k, v in values.items()}
        text = ", ".join(f"{k} {v}" for k, v in shown.items() if isinstance(v, str | int))
        return f"{raw.id}: {text[:100] or ', '.join(values)}"

    def _epochs(self, epochs: int) -> None:
        self.parts = self.parts.with_values({"loop.epochs": epochs})

    def _checkpoint(self) -> Any:
        assert self.run is not None
        return Checkpoints(self.run.folder / "checkpoints", 2).newest()[0]

    def _step(self) -> int:
        return int(self._checkpoint()["step"])

    def _loss(self) -> float:
        assert self.run is not None
        losses = [float(line["train.loss"]) for line in MetricsLog(self.run.folder).new() if "train.loss" in line]
        return losses[-1] if losses else float("nan")
