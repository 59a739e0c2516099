"""Evaluation of a model on held-out samples: metrics, intervals, calibration, thresholds, slices, worst samples."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchdog.api import Call, Meter, SourceDefaults, Spec, Task, with_defaults
from benchdog.data import sample_weights
from benchdog.data.collate import concatenate
from benchdog.data.dataset import Arrays
from benchdog.data.splits import DataSplits
from benchdog.data.stream import StreamReader
from benchdog.errors import BadData, BadUsage
from benchdog.evaluation import baselines, bootstrap, calibration, declared_scores, slices, thresholds, worst_samples
from benchdog.evaluation.batches import PredictedBatch, decoded, predicted
from benchdog.evaluation.intervals import Measuring, metrics_of
from benchdog.evaluation.per_sample import Recorder
from benchdog.evaluation.results import Baseline, Evaluation, ThresholdCurve
from benchdog.plugins import returned
from benchdog.runs import provenance
from benchdog.system import files, format_versions
from benchdog.training.setup import Components

PAIRS = 2000
BASELINE_SAMPLES = 20_000


def evaluate_module(
    folder: Path,
    call: Call,
    parts: Components,
    split: str,
    *,
    module: Callable[[], Any] | None = None,
    by: str = "",
) -> Evaluation:
    """Evaluate a model on a split; write evaluation-<split>.json and the images of the worst samples.

    Args:
        folder: the run's folder.
        call: decoded numpy in, (prediction, score) numpy out.
        module: returns the torch module behind it, for Grad-CAM; None when there is none.
        by: slice the samples by this column, by folder or by class, and measure each slice.
    """
    outcome = evaluate_split(call, parts.data, split, parts.task, parts.spec, by)
    result, measuring = outcome.result, outcome.measuring
    intervals = measuring.intervals(seed=parts.recipe.seed)
    calibrated = {
        metric.name.partition(".")[2]: intervals.pop(metric.name)
        for metric in calibration.METRICS
        if metric.name in intervals
    }
    result["intervals"], result["resamples"] = intervals, bootstrap.resample_count(len(measuring.records))
    if "calibration" in result:
        result["calibration"]["intervals"] = calibrated
    if "chance" in measuring.records:
        result["thresholds"] = _thresholds(folder, split, measuring, parts.spec)
    if outcome.slicer is not None:
        result["slices"] = slices.table(measuring, outcome.slicer, parts.task.monitor, parts.task.better)
    result |= worst_samples.write_worst_samples(folder, split, outcome.tops, call, parts, module)
    result["monitor"], result["better"] = parts.task.monitor, parts.task.better
    files.write_json(folder / f"evaluation-{split}.json", result)
    return result


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """An evaluation in JSON form, its worst samples, and what more can be measured."""

    result: Evaluation
    tops: dict[str, worst_samples.Top]
    measuring: Measuring
    slicer: slices.Slicer | None


def evaluate_split(call: Call, data: DataSplits, split: str, task: Task, spec: Spec, by: str = "") -> Outcome:
    """Run a model over a split and collect what its evaluation needs."""
    if data.splits and split not in data.splits:
        raise BadUsage(f"The source has no {split} split.", f"Available: {', '.join(data.splits)}.")
    samples = data.of_name(split)
    if isinstance(samples, StreamReader) and samples.endless:
        raise BadUsage(f"The {split} split is endless, so it can't be evaluated.", "Choose another --split.")
    declared = metrics_of(task, spec)
    slicer = slices.Slicer(data.spec, by) if by else None
    totals, recorder, pairs = Totals(task.meter(spec)), Recorder(spec, declared), Pairs(spec)
    tops = worst_samples.Tops(spec)
    for batch in predicted(call, data, split, task, spec):
        for collector in (totals, recorder, pairs, tops, slicer):
            if collector is not None:
                collector.collect(batch)
    metrics, records = returned.metrics(totals.meter.value(), task.monitor, type(task).__name__), recorder.records()
    result: Evaluation = {
        "format": format_versions.RUN,
        "split": split,
        "samples": totals.samples,
        "held_out": provenance.held_out(data, split, totals.targets.hexdigest()),
    }
    if totals.weighted:
        result["weighted"] = [each.name for each in declared.metrics if each.weighted and each.name in metrics]
    result["metrics"] = _finite(metrics)
    result["classes"] = list(spec.target.classes)
    result["target"] = {"kind": spec.target.kind, "name": spec.target.name}
    if pairs.pairs:
        result["pairs"] = pairs.pairs[:PAIRS]
    if (bins := recorder.bins()) is not None and "calibration.squared" in records:
        squared, statements = (float(records[f"calibration.{name}"].sum()) for name in ("squared", "statements"))
        result["calibration"] = calibration.summary(bins, squared, statements)
    return Outcome(
        result=result,
        tops=tops.by_name,
        measuring=Measuring.of(records, task, spec, declared, metrics),
        slicer=slicer,
    )


@dataclass(slots=True)
class Totals:
    """The task's meter, the number of samples, and a hash of their targets."""

    meter: Meter
    samples: int = 0
    weighted: bool = False
    targets: Any = field(default_factory=hashlib.sha256)

    def collect(self, batch: PredictedBatch) -> None:
        self.meter.add(torch.from_numpy(batch.score), batch.as_batch())
        self.samples += len(batch.target)
        self.weighted = batch.weight is not None
        self.targets.update(np.ascontiguousarray(batch.data_target).tobytes())


@dataclass(slots=True)
class Pairs:
    """The first (actual, predicted) pairs of a single number, for a scatter plot."""

    spec: Spec
    pairs: list[list[float]] = field(default_factory=list)

    def collect(self, batch: PredictedBatch) -> None:
        if self.spec.target.kind != "number" or batch.target.ndim != 1 or len(self.pairs) >= PAIRS:
            return
        if batch.prediction.size != len(batch.target):
            return  # quantiles or a distribution, say: none of these is the predicted number
        values = batch.prediction.reshape(len(batch.target))
        self.pairs += [[float(t), float(p)] for t, p in zip(batch.target, values, strict=True)]


def _thresholds(folder: Path, split: str, measuring: Measuring, spec: Spec) -> list[ThresholdCurve]:
    """Compute ROC and precision-recall curves; thresholds are chosen on valid, and evaluated on other splits."""
    chance, truth = measuring.records["chance"], measuring.records["truth"]
    names = spec.target.classes[1:] if spec.target.kind == "class" else spec.target.classes
    curves = thresholds.curves(chance, truth, names)
    stored = folder / "evaluation-valid.json"
    known = files.read_object(stored).get("thresholds") or [] if split != "valid" and stored.is_file() else []
    try:
        chosen = {line["class"]: float(line["chosen"]["threshold"]) for line in known if line.get("chosen")}
    except (AttributeError, KeyError, TypeError, ValueError):
        again = f"Make it again: benchdog evaluate {folder} --split valid"
        raise BadData(f"{stored} is damaged: its thresholds can't be read.", again) from None
    for k, curve in enumerate(curves):
        best = curve.pop("best", None)
        if split != "valid":
            on_valid = chosen.get(curve["class"])
            best = thresholds.at(chance[:, k], truth[:, k], on_valid) if on_valid is not None else None
        curve["chosen"], curve["at_half"] = best, thresholds.at(chance[:, k], truth[:, k], 0.5)
    return curves


def _finite(value: Any) -> Any:
    """Replace what JSON can't hold by null."""
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def measure_baseline(folder: Path, parts: Components, split: str) -> tuple[list[Baseline], str]:
    """Measure simple baselines on the same split, write baseline.json; return them, or why there are none."""
    (train, _), (held_out, by) = _transformed(parts, "train"), _transformed(parts, split)
    spec = parts.transform.spec(parts.spec)
    note = declared_scores.why_none(train, held_out, spec, parts.task, parts.recipe.task.name)
    lines = []
    if not note:
        lines = baselines.measure(
            train,
            held_out,
            spec,
            parts.task,
            time_order=bool(with_defaults(parts.source, SourceDefaults).time_order),
            limit=BASELINE_SAMPLES,
            seed=parts.recipe.seed,
            by=by,
        )
    path = folder / "baseline.json"
    known = files.read_object(path).get("splits", {}) if path.is_file() else {}
    if not isinstance(known, dict):
        raise BadData(f"{path} is damaged: it has no table of splits.", "Remove it: evaluations write it.")
    known[split] = [{"name": line["name"], "metrics": _finite(line["metrics"])} for line in lines]
    document = {"format": format_versions.RUN, "split": split, "lines": known[split], "splits": known}
    files.write_json(path, document | ({"note": note} if note else {}))
    return lines, note


def _transformed(parts: Components, split: str) -> tuple[Arrays, sample_weights.Weight]:
    """Prepare and transform a split, at most BASELINE_SAMPLES of it; return its sample weights too."""
    inputs, targets, weights = [], [], []
    with torch.inference_mode():
        for read, truth, by, ids in decoded(parts.data, split, limit=parts.data.at_most(split, BASELINE_SAMPLES)):
            arrays, target = parts.prepare.arrays(read, truth, ids)
            moved = parts.transform(*(torch.from_numpy(np.ascontiguousarray(x)) for x in arrays))
            inputs.append(tuple(x.numpy() for x in moved))
            targets.append(target)
            weights += [] if by is None else [by]
    columns = tuple(np.concatenate(column) for column in zip(*inputs, strict=True))
    return (columns, concatenate(targets, parts.spec.target)), np.concatenate(weights) if weights else None
