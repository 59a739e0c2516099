"""How good a model is on held-out samples: the task's metrics, and the samples it is most wrong about."""

from __future__ import annotations

import heapq
import itertools
import math
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchdog import baseline, files
from benchdog.api import Batch, Call, Raw, Spec, Task, TaskInfo
from benchdog.data import Data
from benchdog.errors import BadUsage
from benchdog.loading import Arrays, Samples
from benchdog.pictures import save_picture
from benchdog.settle import Parts
from benchdog.stream import Plan, Position

FORMAT = 0
WORST = 12
PAIRS = 2000
PIECE = 128
BASELINE_SAMPLES = 20_000


def decoded(data: Data, split: str, size: int = PIECE, limit: int | None = None) -> Iterator[tuple[Any, Any, Any]]:
    """Yield (inputs, target, ids) of a split in its order, decoded; `ids` is a list or a range of positions."""
    samples = data.splits[split]
    if isinstance(samples, Samples):
        count = len(samples) if limit is None else min(limit, len(samples))
        for i in range(0, count, size):
            positions = range(i, min(count, i + size))
            inputs, target = samples.batch(list(positions))
            yield inputs, target, positions
        return
    plan = Plan(streams=1, batch_size=size, shuffle=size, seed=0, epoch=0, training=False)
    seen = 0
    for piece in samples.read(plan, Position.start(1), [0]):
        if piece.ids and (limit is None or seen < limit):
            yield tuple(x.numpy() for x in piece.inputs), piece.target.numpy(), piece.ids
            seen += len(piece.ids)


def raw_samples(data: Data, split: str, limit: int) -> Iterator[Raw]:
    """Yield raw samples of a split, spread evenly over it when there are more than `limit`."""
    samples = data.splits[split]
    if isinstance(samples, Samples):
        count = min(limit, len(samples))
        for i in range(count):
            yield samples.split.raw(i * len(samples) // count)
    else:
        stream = samples.stream
        raws = (raw for shard in stream.shards() for raw in stream.read(shard, 0))
        yield from itertools.islice(raws, limit)


def evaluate_module(folder: Path, call: Call, parts: Parts, split: str) -> dict[str, Any]:
    """Judge a model on a split and write evaluation-<split>.json and the worst samples' pictures.

    Args:
        folder: the run's folder.
        call: decoded numpy in, (answer, score) numpy out.
    """
    result = judge(call, parts.data, split, parts.task, parts.spec)
    worst = result.pop("heap")
    info = parts.plugins.find("task", parts.recipe.task.name)
    assert isinstance(info.info, TaskInfo)
    options = parts.plugins.options(info, parts.recipe.task.options)
    answer = info.resolve(info.info.answer)
    pictures = folder / "worst" / split
    shutil.rmtree(pictures, ignore_errors=True)
    pictures.mkdir(parents=True)
    result["worst"] = []
    for number, (loss, _, inputs, target, name) in enumerate(sorted(worst, key=lambda w: -w[0])):
        inputs = tuple(x[None] for x in inputs)
        said = answer(call, inputs, parts.spec, options)[0].values
        entry: dict[str, Any] = {
            "id": name,
            "loss": loss,
            "answer": _plain(said),
            "target": _told(target, parts.spec),
        }
        if parts.spec.target.kind == "mask":  # pixels that count nowhere stay bare
            target = np.where(target < parts.spec.classes, target, 0)
        entry["picture"] = _picture(folder, pictures / f"{number}.png", inputs[0][0], target, said, parts.spec)
        result["worst"].append(entry)
    result["monitor"], result["better"] = parts.task.monitor, parts.task.better
    files.write_json(folder / f"evaluation-{split}.json", result)
    return result


def judge(call: Call, data: Data, split: str, task: Task, spec: Spec) -> dict[str, Any]:
    """Measure a model on a split; `heap` holds (loss, order, inputs, target, id) of the worst samples."""
    if split not in data.splits:
        raise BadUsage(f"The source has no {split} split.", f"It has: {', '.join(data.splits)}.")
    meter = task.meter(spec)
    heap: list[tuple[float, int, Any, Any, str]] = []
    pairs: list[list[float]] = []
    count = 0
    for inputs, target, ids in decoded(data, split):
        answer, score = call(*inputs)
        scores, targets = torch.from_numpy(score), torch.from_numpy(np.asarray(target))
        meter.add(scores, Batch((), targets, ids))
        for i, loss in enumerate(_losses(task, scores, targets)):
            entry = (loss, -(count + i), None, None, "")
            if len(heap) < WORST or entry[:2] > heap[0][:2]:
                full = (loss, -(count + i), tuple(x[i] for x in inputs), target[i], _id(data, split, ids, i))
                heapq.heappush(heap, full) if len(heap) < WORST else heapq.heapreplace(heap, full)
        if spec.target.kind == "number" and target.ndim == 1 and len(pairs) < PAIRS:
            pairs += [
                [float(t), float(a)] for t, a in zip(target, answer.reshape(len(target), -1)[:, 0], strict=True)
            ]
        count += len(target)
    result: dict[str, Any] = {
        "format": FORMAT,
        "split": split,
        "samples": count,
        "metrics": _finite(meter.value()),
        "classes": list(spec.target.classes),
        "target": {"kind": spec.target.kind, "name": spec.target.name},
        "heap": heap,
    }
    return {**result, "pairs": pairs[:PAIRS]} if pairs else result


def _losses(task: Task, scores: torch.Tensor, targets: torch.Tensor) -> list[float]:
    """Give each sample's own loss; a task whose samples are judged by each other says it itself."""
    losses = []
    if (own := getattr(task, "losses", None)) is not None:
        losses = own(scores, Batch((), targets)).tolist()
    for i in range(len(losses), len(scores)):
        total, weight = task.loss(scores[i : i + 1], Batch((), targets[i : i + 1]))
        losses.append(float(total) / float(weight) if float(weight) else 0.0)
    return [math.inf if math.isnan(loss) else loss for loss in losses]


def _id(data: Data, split: str, ids: Sequence[Any], i: int) -> str:
    samples = data.splits[split]
    return samples.ids([ids[i]])[0] if isinstance(samples, Samples) else str(ids[i])


def _picture(folder: Path, path: Path, array: Any, target: Any, said: Any, spec: Spec) -> str | None:
    """Draw a sample that can be seen; masks beside it."""
    field = spec.fields[0]
    if field.kind not in ("image", "volume"):
        return None
    masks = {"mask": target, "answer": said.get("mask")} if spec.target.kind == "mask" else {}
    save_picture(array, field, path, **masks)
    return path.relative_to(folder).as_posix()


def _told(target: Any, spec: Spec) -> Any:
    """Give a target as people and JSON want it."""
    if spec.target.kind == "class":
        return spec.target.classes[int(target)]
    if spec.target.kind == "labels":
        return [name for name, true in zip(spec.target.classes, target, strict=True) if true]
    return np.asarray(target).tolist() if np.asarray(target).size <= 8 else None


def _plain(values: Any) -> dict[str, Any]:
    """Leave arrays out of an answer."""
    return {key: value for key, value in values.items() if not isinstance(value, np.ndarray)}


def _finite(value: Any) -> Any:
    """Replace what JSON can't hold by null."""
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def measure_baseline(folder: Path, parts: Parts, split: str) -> list[dict[str, Any]]:
    """Measure what simple ways reach on the same split and write it beside the evaluation."""
    lines = baseline.measure(
        _transformed(parts, "train"),
        _transformed(parts, split),
        parts.transform.spec(parts.spec),
        parts.task,
        time_order=bool(getattr(parts.source, "time_order", False)),
        limit=BASELINE_SAMPLES,
        seed=parts.recipe.seed,
    )
    path = folder / "baseline.json"
    known = files.read_json(path)["splits"] if path.is_file() else {}
    known[split] = [{"name": line["name"], "metrics": _finite(line["metrics"])} for line in lines]
    files.write_json(path, {"format": FORMAT, "split": split, "lines": known[split], "splits": known})
    return lines


def _transformed(parts: Parts, split: str) -> Arrays:
    """Take a split, at most BASELINE_SAMPLES of it, through the transform."""
    inputs, targets = [], []
    with torch.inference_mode():
        for arrays, target, _ in decoded(parts.data, split, limit=BASELINE_SAMPLES):
            moved = parts.transform(*(torch.from_numpy(np.ascontiguousarray(x)) for x in arrays))
            inputs.append(tuple(x.numpy() for x in moved))
            targets.append(target)
    return tuple(np.concatenate(column) for column in zip(*inputs, strict=True)), np.concatenate(targets)
