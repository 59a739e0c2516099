"""Everything a run does, on one batch: train, resume, export, verification, predict; then throw it away."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchdog import pipeline
from benchdog.api import BatchSplit, Raw, Split
from benchdog.data.dataset import DecodedSplit
from benchdog.data.splits import DataSplits
from benchdog.deployment.export import export
from benchdog.errors import BadUsage
from benchdog.model.load import open_model
from benchdog.recipe.draft import Draft
from benchdog.recipe.recipe import with_options
from benchdog.recipe.resolved import write_resolved
from benchdog.runs.checkpoints import Checkpoints
from benchdog.runs.run import Run
from benchdog.training.rank import check_trainer, train_rank
from benchdog.training.setup import resolve

SECONDS = 8.0
"""Time given to overfitting the batch."""
HALF = 0.5
FITTED = 0.1
"""Share of its first loss to which a net must come down on one batch."""


class Few:
    """The first samples of a split."""

    def __init__(self, split: Split, positions: Sequence[int]) -> None:
        self._split, self._positions = split, positions
        if isinstance(split, BatchSplit):
            self.batch = lambda indices: split.batch([positions[i] for i in indices])

    def __len__(self) -> int:
        return len(self._positions)

    def raw(self, i: int, /) -> Raw:
        return self._split.raw(self._positions[i])


def try_all(
    draft: Draft, quiet: bool = False, tell: Callable[[Mapping[str, Any]], None] | None = None
) -> list[dict[str, Any]]:
    """Try every stage on one batch; give a line per stage, to `tell` at once. A failure is raised as a run's."""
    lines: list[dict[str, Any]] = []

    def stage(name: str, work: Callable[[], str]) -> None:
        begun = time.perf_counter()
        said = work()
        lines.append({"stage": name, "seconds": round(time.perf_counter() - begun, 2), "said": said})
        if tell is not None:
            tell(lines[-1])
        if not quiet:
            print(f"{name:<12} {said}  ({lines[-1]['seconds']:.1f} s)", file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory(prefix="benchdog-smoke-") as place:
        trial = _Trial(draft, Path(place))
        for name in ("train", "resume", "overfit", "artifact", "export", "predict"):
            stage(name, getattr(trial, name))
    return lines


class _Trial:
    """The stages, in their order."""

    def __init__(self, draft: Draft, place: Path) -> None:
        self.parts = resolve(draft)
        self.place = place
        self.run: Run | None = None

    def train(self) -> str:
        """Train one step on one batch."""
        parts = self.parts
        train = parts.data.splits["train"]
        if not isinstance(train, DecodedSplit):
            raise BadUsage("--smoke needs a source with positions; this one is a stream.", "Train a short run.")
        check_trainer(parts, parts.build())
        count = min(len(train), parts.recipe.loop.batch)
        few = DecodedSplit(Few(train.split, range(count)), train.spec, train.preprocess)
        parts.data = DataSplits(
            parts.data.spec, parts.data.preprocess, dict.fromkeys(("train", "valid", "test"), few)
        )
        if parts.recipe.trainer.name == "supervised":
            # Its length is the run's, and the stages here have others.
            parts.recipe = with_options(parts.recipe, schedule="constant", schedule_options={}, warmup=0.0)
        loop = replace(parts.recipe.loop, epochs=1, patience=0)
        parts.recipe = replace(parts.recipe, loop=loop, loader=replace(parts.recipe.loader, workers=0))
        facts = {kind: getattr(parts.recipe, kind).name for kind in ("source", "model", "task", "trainer", "backend")}
        more = {"monitor": parts.task.monitor, "better": parts.task.better, "samples": parts.data.sizes()}
        self.run = Run.create(self.place, "smoke", {**facts, **more, "parameters": 0})
        write_resolved(self.run.folder, parts.recipe)
        self.trained, self.model = self._train()
        return f"{facts['model']} on {count} samples, one step, a checkpoint"

    def _train(self) -> Any:
        assert self.run is not None
        return train_rank(self.run, self.parts, quiet=True)

    def resume(self) -> str:
        """Go on from the checkpoint for a second step."""
        if self.trained is not None:
            return "nothing to go on with: this trainer trains in one go"
        self._epochs(2)
        self._train()
        return f"went on to step {self._step()}"

    def overfit(self) -> str:
        """See whether the net can learn this one batch by heart."""
        if self.trained is not None:
            return "left out: this trainer trains in one go"
        first = last = self._loss()
        epochs, end = 2, time.perf_counter() + SECONDS
        while time.perf_counter() < end and last > FITTED * first:
            epochs += 50
            self._epochs(epochs)
            self._train()
            last = self._loss()
        if last <= FITTED * first:
            verdict = "the net can learn it"
        elif last < HALF * first:
            verdict = "still falling when the time was up"
        else:
            verdict = "NOT falling: look at rate, model and targets"
        return f"loss {first:.4f} -> {last:.4f} after {self._step()} steps on one batch: {verdict}"

    def artifact(self) -> str:
        """Write the artifact."""
        assert self.run is not None
        pipeline.finish(self.run, self.parts, self.trained, self.model, quiet=True)
        return "written, with its report"

    def export(self) -> str:
        """Export and verify."""
        if self.trained is not None:
            return "left out: there is no graph to export"
        assert self.run is not None
        source = self.run.folder / "artifact"
        local = [Path(file) for file in self.parts.recipe.plugins]
        report = export(source, "torch-export", None, self.parts.plugins, local=local)
        worst = max(line["max_abs_diff"] for line in report["verification"])
        return f"torch-export verified, largest difference {worst:.1e}"

    def predict(self) -> str:
        """Answer for a raw sample."""
        assert self.run is not None
        opened = open_model(self.run.folder / "artifact", self.parts.plugins)
        train = self.parts.data.splits["train"]
        assert isinstance(train, DecodedSplit)
        raw = train.split.raw(0)
        values = opened.predict([raw])[0].values
        shown = {k: f"{v:.3g}" if isinstance(v, float) else v for k, v in values.items()}
        said = ", ".join(f"{k} {v}" for k, v in shown.items() if isinstance(v, str | int))
        return f"{raw.id}: {said[:100] or ', '.join(values)}"

    # --- inner parts

    def _epochs(self, epochs: int) -> None:
        self.parts.recipe = replace(self.parts.recipe, loop=replace(self.parts.recipe.loop, epochs=epochs))

    def _checkpoint(self) -> Any:
        assert self.run is not None
        return Checkpoints(self.run.folder / "checkpoints", 2).newest()[0]

    def _step(self) -> int:
        return int(self._checkpoint()["step"])

    def _loss(self) -> float:
        assert self.run is not None
        lines = [json.loads(line) for line in self.run.metrics.read_text(encoding="utf-8").splitlines()]
        return next((float(line["train.loss"]) for line in reversed(lines) if "train.loss" in line), float("nan"))
