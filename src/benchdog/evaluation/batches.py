"""Batches of a split in its order: decoded, predicted, or raw."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchdog.api import Batch, Call, Raw, SampleLossTask, Spec, Task
from benchdog.data import sample_weights
from benchdog.data.dataset import DecodedSplit
from benchdog.data.prepare import Prepare
from benchdog.data.splits import DataSplits
from benchdog.data.stream import EpochPlan, StreamPosition
from benchdog.errors import BadUsage
from benchdog.model import training_ranges as ranges

Array = NDArray[Any]
SIZE = 128


class NoInputs(tuple[torch.Tensor, ...]):
    """The inputs of a batch that only measures scores: there are none, and reading one raises BadUsage."""

    def __getitem__(self, position: Any) -> Any:
        raise BadUsage(
            f"batch.inputs[{position!r}] is read by a loss or a meter, and a batch has no inputs in evaluation.",
            "Whatever they need in addition to the score belongs in the target: see PreparedTask in benchdog.api.",
        )


NO_INPUTS = NoInputs()


def decoded(
    data: DataSplits, split: str, size: int = SIZE, limit: int | None = None
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
    for batch in samples.read(plan, StreamPosition.start(1), [0]):
        if limit is not None and seen >= limit:
            return
        if batch.ids:
            weight = None if batch.weight is None else batch.weight.numpy()
            yield tuple(x.numpy() for x in batch.inputs), batch.target.numpy(), weight, batch.ids
            seen += len(batch.ids)


@dataclass(frozen=True, kw_only=True, slots=True)
class PredictedBatch:
    """Decoded samples with their predictions, numpy arrays with a row per sample.

    Attributes:
        start: the number of samples before this batch.
        inputs: of the data, before the task prepared them.
        target: as the task prepared it; data_target as the data has it.
        weight: sample weights; None where samples have none.
        losses: each sample's loss and loss_weights its weight in the mean, sample weights left out.
    """

    data: DataSplits
    split: str
    start: int
    inputs: tuple[Array, ...]
    target: Array
    data_target: Array
    weight: Array | None
    positions: Sequence[Any]
    prediction: Array
    score: Array
    losses: list[float]
    loss_weights: list[float]

    def ids(self) -> list[str]:
        """Return the samples' ids, for which files may have to be read."""
        return self._ids(self.positions)

    def sample(self, i: int) -> tuple[tuple[Array, ...], Any, str]:
        """Return one sample: decoded inputs without a batch axis, target, id."""
        return tuple(x[i] for x in self.inputs), self.target[i], self._ids([self.positions[i]])[0]

    def as_batch(self) -> Batch:
        """Return targets and weights as a meter takes them."""
        weight = None if self.weight is None else torch.from_numpy(self.weight)
        return Batch(NO_INPUTS, torch.from_numpy(self.target), self.positions, True, weight)

    def _ids(self, positions: Sequence[Any]) -> list[str]:
        samples = self.data.splits[self.split]
        return samples.ids(positions) if isinstance(samples, DecodedSplit) else [str(each) for each in positions]


def predicted(call: Call, data: DataSplits, split: str, task: Task, spec: Spec) -> Iterator[PredictedBatch]:
    """Run a model over a split; `spec` is of what it gets."""
    start, prepare = 0, Prepare(task, spec)
    for inputs, data_target, weight, positions in decoded(data, split):
        given, target = prepare.arrays(inputs, np.asarray(data_target), positions)
        prediction, score = call(*given)
        losses, loss_weights = _losses(task, torch.from_numpy(score), torch.from_numpy(target))
        yield PredictedBatch(
            data=data,
            split=split,
            start=start,
            inputs=inputs,
            target=target,
            data_target=np.asarray(data_target),
            weight=weight,
            positions=positions,
            prediction=prediction,
            score=score,
            losses=losses,
            loss_weights=loss_weights,
        )
        start += len(target)


def _losses(task: Task, scores: torch.Tensor, targets: torch.Tensor) -> tuple[list[float], list[float]]:
    """Return each sample's own loss and weight; a task whose loss compares samples computes them itself."""
    if isinstance(task, SampleLossTask):
        losses = task.losses(scores, Batch(NO_INPUTS, targets)).tolist()
        return losses, [1.0] * len(losses)
    pairs = [task.loss(scores[i : i + 1], Batch(NO_INPUTS, targets[i : i + 1])) for i in range(len(scores))]
    return [float(total) for total, _ in pairs], [float(weight) for _, weight in pairs]


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


def training_ranges(data: DataSplits) -> ranges.Ranges:
    """Measure the ranges of the training split's values, by which unusual inputs are recognized later."""
    measure, split = ranges.Measure(data.spec), data.splits["train"]
    if not isinstance(split, DecodedSplit):
        for inputs, *_ in decoded(data, "train", limit=ranges.PICTURES):
            measure.add(inputs)
        return measure.ranges()
    positions = ranges.places(data.spec, len(split))
    if any(field.kind == "image" for field in data.spec.fields):
        for position in positions:  # one by one: they may differ in size, which only the raw ones show
            raw = split.split.raw(position)
            inputs = split.batch([position])[0] if split.fast else tuple(x[None] for x in split.decoder(raw))
            measure.add(inputs, [raw])
        return measure.ranges()
    for i in range(0, len(positions), SIZE):
        measure.add(split.batch(positions[i : i + SIZE])[0])
    return measure.ranges()
