"""How good a model is on held-out samples: the task's metrics, and the samples it is most wrong about."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchdog.api import Batch, Call, Raw, SampleLossTask, SourceDefaults, Spec, Task, with_defaults
from benchdog.data import sample_weights
from benchdog.data.dataset import Arrays, DecodedSplit
from benchdog.data.splits import DataSplits
from benchdog.data.stream import EpochPlan, StreamPosition
from benchdog.errors import BadUsage
from benchdog.evaluation import baselines, bootstrap, calibration, slices, thresholds, worst_samples
from benchdog.evaluation.intervals import Measuring
from benchdog.evaluation.per_sample import Recorder
from benchdog.model import training_ranges as ranges
from benchdog.runs import provenance
from benchdog.system import files, format_versions
from benchdog.training.setup import Components

PAIRS = 2000
PIECE = 128
BASELINE_SAMPLES = 20_000
WEIGHTED = ("loss", "perplexity", "bits_per_byte", "bits_per_character")
"""Metrics in which samples count by their weights; in all others each counts once."""


def decoded(
    data: DataSplits, split: str, size: int = PIECE, limit: int | None = None
) -> Iterator[tuple[Any, Any, Any, Any]]:
    """Yield (inputs, target, weight, ids) of a split in its order, decoded; `ids` is a list or a range of positions.

    Samples of weight 0 are left out; `weight` is None where samples have none.
    """
    for batch in _decoded(data, split, size, limit):
        kept = sample_weights.drop_zero_weights(*batch)
        if len(kept[1]):
            yield kept


def _decoded(data: DataSplits, split: str, size: int, limit: int | None) -> Iterator[tuple[Any, Any, Any, Any]]:
    samples = data.splits[split]
    if isinstance(samples, DecodedSplit):
        count = len(samples) if limit is None else min(limit, len(samples))
        for i in range(0, count, size):
            positions = range(i, min(count, i + size))
            yield (*samples.read(list(positions)), positions)
        return
    plan = EpochPlan(streams=1, batch_size=size, shuffle=size, seed=0, epoch=0, training=False)
    seen = 0
    for piece in samples.read(plan, StreamPosition.start(1), [0]):
        if piece.ids and (limit is None or seen < limit):
            weight = None if piece.weight is None else piece.weight.numpy()
            yield tuple(x.numpy() for x in piece.inputs), piece.target.numpy(), weight, piece.ids
            seen += len(piece.ids)


def raw_samples(data: DataSplits, split: str, limit: int) -> Iterator[Raw]:
    """Yield raw samples of a split, spread evenly over it when there are more than `limit`."""
    samples = data.splits[split]
    if isinstance(samples, DecodedSplit):
        count = min(limit, len(samples))
        for i in range(count):
            yield samples.split.raw(i * len(samples) // count)
    else:
        stream = samples.stream
        raws = (raw for shard in stream.shards() for raw in stream.read(shard, 0))
        yield from itertools.islice(raws, limit)


def evaluate_module(
    folder: Path,
    call: Call,
    parts: Components,
    split: str,
    *,
    module: Callable[[], Any] | None = None,
    by: str = "",
) -> dict[str, Any]:
    """Judge a model on a split and write evaluation-<split>.json and the worst samples' pictures.

    Args:
        folder: the run's folder.
        call: decoded numpy in, (answer, score) numpy out.
        module: gives the torch module behind it, for pictures of where it looks; None when there is none.
        by: cut the samples by this column, by folder or by class, and measure each part.
    """
    result, tops, measuring, slicer = evaluate_split(call, parts.data, split, parts.task, parts.spec, by)
    intervals = measuring.intervals(seed=parts.recipe.seed)
    apart = {name.partition(".")[2]: intervals.pop(name) for name in measuring.calibrated if name in intervals}
    result["intervals"], result["resamples"] = intervals, bootstrap.resamples(len(measuring.records))
    if "calibration" in result:
        result["calibration"]["intervals"] = apart
    if "chance" in measuring.records:
        result["thresholds"] = _thresholds(folder, split, measuring, parts.spec)
    if slicer is not None:
        result["slices"] = slices.table(measuring, slicer, parts.task.monitor, parts.task.better)
    result |= worst_samples.write_worst_samples(folder, split, tops, call, parts, module)
    result["monitor"], result["better"] = parts.task.monitor, parts.task.better
    files.write_json(folder / f"evaluation-{split}.json", result)
    return result


Judged = tuple[dict[str, Any], dict[str, worst_samples.Top], Measuring, slices.Slicer | None]


def evaluate_split(call: Call, data: DataSplits, split: str, task: Task, spec: Spec, by: str = "") -> Judged:
    """Measure a model on a split: its result in JSON form, its worst samples, what more can be measured."""
    if split not in data.splits:
        raise BadUsage(f"The source has no {split} split.", f"It has: {', '.join(data.splits)}.")
    slicer = slices.Slicer(spec, by) if by else None
    meter, recorder = task.meter(spec), Recorder(spec)
    tops = {
        "worst": worst_samples.Top(),
        **({"confident": worst_samples.Top()} if spec.target.kind == "class" else {}),
    }
    pairs: list[list[float]] = []
    count = 0
    weighted, seen = False, hashlib.sha256()
    for inputs, target, share, ids in decoded(data, split):
        answer, score = call(*inputs)
        scores, targets = torch.from_numpy(score), torch.from_numpy(np.asarray(target))
        meter.add(scores, Batch((), targets, ids, True, None if share is None else torch.from_numpy(share)))
        losses, weights = _losses(task, scores, targets)
        recorder.add(answer, score, target, losses, weights, share)
        weighted = share is not None
        _offer(tops, data, split, (inputs, target, ids), losses, weights, count)
        if "confident" in tops:
            for i, sure in enumerate(worst_samples.mistaken(answer, score, target, spec.classes)):
                if sure >= 0:
                    tops["confident"].offer(sure, count + i, partial(_sample, data, split, inputs, target, ids, i))
        if slicer is not None:
            slicer.add(inputs, target, partial(_ids, data, split, ids))
        if spec.target.kind == "number" and target.ndim == 1 and len(pairs) < PAIRS:
            pairs += [
                [float(t), float(a)] for t, a in zip(target, answer.reshape(len(target), -1)[:, 0], strict=True)
            ]
        count += len(target)
        seen.update(np.ascontiguousarray(target).tobytes())
    metrics, records = meter.value(), recorder.records()
    result: dict[str, Any] = {
        "format": format_versions.RUN,
        "split": split,
        "samples": count,
        "held_out": provenance.held_out(data, split, seen.hexdigest()),
        **({"weighted": [name for name in WEIGHTED if name in metrics]} if weighted else {}),
        "metrics": _finite(metrics),
        "classes": list(spec.target.classes),
        "target": {"kind": spec.target.kind, "name": spec.target.name},
        **({"pairs": pairs[:PAIRS]} if pairs else {}),
    }
    if (bins := recorder.bins()) is not None and "squared" in records:
        squared, judged = float(records["squared"].sum()), float(records["judged"].sum())
        result["calibration"] = calibration.summary(bins, squared, judged)
    return result, tops, Measuring.of(records, task, spec, metrics), slicer


def _thresholds(folder: Path, split: str, measuring: Measuring, spec: Spec) -> list[dict[str, Any]]:
    """Give the curves; on valid the best thresholds are chosen, elsewhere those that were chosen there are tried."""
    chance, truth = measuring.records["chance"], measuring.records["truth"]
    names = spec.target.classes[1:] if spec.target.kind == "class" else spec.target.classes
    lines = thresholds.curves(chance, truth, names)
    stored = folder / "evaluation-valid.json"
    known = files.read_json(stored).get("thresholds") or [] if split != "valid" and stored.is_file() else []
    chosen = {line["class"]: line["chosen"] for line in known if line.get("chosen")}
    for k, line in enumerate(lines):
        best = line.pop("best", None)
        if split != "valid":
            best = chosen.get(line["class"])
            best = best and thresholds.at(chance[:, k], truth[:, k], float(best["threshold"]))
        line["chosen"], line["at_half"] = best, thresholds.at(chance[:, k], truth[:, k], 0.5)
    return lines


def _offer(
    tops: dict[str, worst_samples.Top],
    data: DataSplits,
    split: str,
    batch: tuple[Any, Any, Any],
    losses: list[float],
    weights: list[float],
    count: int,
) -> None:
    """Let the batch's costliest samples into the list of the worst."""
    for i, (total, weight) in enumerate(zip(losses, weights, strict=True)):
        loss = total / weight if weight else 0.0
        loss = math.inf if math.isnan(loss) else loss
        tops["worst"].offer(loss, count + i, partial(_sample, data, split, *batch, i))


def _sample(data: DataSplits, split: str, inputs: Any, target: Any, ids: Any, i: int) -> worst_samples.Sample:
    return tuple(x[i] for x in inputs), target[i], _ids(data, split, [ids[i]])[0]


def _losses(task: Task, scores: torch.Tensor, targets: torch.Tensor) -> tuple[list[float], list[float]]:
    """Give each sample's own loss and weight; a task whose samples are judged by each other says them itself."""
    if isinstance(task, SampleLossTask):
        losses = task.losses(scores, Batch((), targets)).tolist()
        return losses, [1.0] * len(losses)
    pairs = [task.loss(scores[i : i + 1], Batch((), targets[i : i + 1])) for i in range(len(scores))]
    return [float(total) for total, _ in pairs], [float(weight) for _, weight in pairs]


def _ids(data: DataSplits, split: str, ids: Sequence[Any]) -> list[str]:
    samples = data.splits[split]
    return samples.ids(ids) if isinstance(samples, DecodedSplit) else [str(each) for each in ids]


def _finite(value: Any) -> Any:
    """Replace what JSON can't hold by null."""
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def training_ranges(data: DataSplits) -> ranges.Ranges:
    """Measure between what the training split's values lie."""
    measure, split = ranges.Measure(data.spec), data.splits["train"]
    if not isinstance(split, DecodedSplit):
        for inputs, *_ in decoded(data, "train", limit=ranges.PICTURES):
            measure.add(inputs)
        return measure.ranges()
    positions = ranges.places(data.spec, len(split))
    if any(field.kind == "image" for field in data.spec.fields):
        for place in positions:  # one by one: they may differ in size, and the raw ones say how large they were
            raw = split.split.raw(place)
            measure.add(tuple(x[None] for x in split.decoder(raw)), [raw])
        return measure.ranges()
    for i in range(0, len(positions), PIECE):
        measure.add(split.batch(positions[i : i + PIECE])[0])
    return measure.ranges()


def measure_baseline(folder: Path, parts: Components, split: str) -> list[dict[str, Any]]:
    """Measure what simple ways reach on the same split and write it beside the evaluation."""
    (train, _), (held_out, by) = _transformed(parts, "train"), _transformed(parts, split)
    lines = baselines.measure(
        train,
        held_out,
        parts.transform.spec(parts.spec),
        parts.task,
        time_order=bool(with_defaults(parts.source, SourceDefaults).time_order),
        limit=BASELINE_SAMPLES,
        seed=parts.recipe.seed,
        by=by,
    )
    path = folder / "baseline.json"
    known = files.read_json(path)["splits"] if path.is_file() else {}
    known[split] = [{"name": line["name"], "metrics": _finite(line["metrics"])} for line in lines]
    files.write_json(path, {"format": format_versions.RUN, "split": split, "lines": known[split], "splits": known})
    return lines


def _transformed(parts: Components, split: str) -> tuple[Arrays, sample_weights.Weight]:
    """Take a split, at most BASELINE_SAMPLES of it, through the transform; give its weights too."""
    inputs, targets, weights = [], [], []
    with torch.inference_mode():
        for arrays, target, by, _ in decoded(parts.data, split, limit=BASELINE_SAMPLES):
            moved = parts.transform(*(torch.from_numpy(np.ascontiguousarray(x)) for x in arrays))
            inputs.append(tuple(x.numpy() for x in moved))
            targets.append(target)
            weights += [] if by is None else [by]
    columns = tuple(np.concatenate(column) for column in zip(*inputs, strict=True))
    return (columns, np.concatenate(targets)), np.concatenate(weights) if weights else None
