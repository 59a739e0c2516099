"""The batch loader of one rank: micro-batches on its device, from any position of an epoch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch

from benchdog.api import Batch, Device, Spec
from benchdog.data import sample_weights
from benchdog.data.augment import Augment
from benchdog.data.dataset import DecodedSplit
from benchdog.data.prepare import Prepare
from benchdog.data.sampler import epoch_order, micro_batches
from benchdog.data.splits import DataSplits
from benchdog.data.stream import EpochPlan, StreamBatch, StreamPosition, StreamReader, read_stream
from benchdog.data.transform.transform import Transform
from benchdog.data.workers import LoadedBatch
from benchdog.errors import BadData
from benchdog.recipe.recipe import LoopConfig, Recipe
from benchdog.recipe.steps import StepCount

MAX_EVALUATION_BATCH, MAX_EVALUATION_VALUES = 256, 1 << 16
"""Largest evaluation batch, in samples and in numbers, unless a training batch is larger."""


def evaluation_batch_size(loop: LoopConfig, spec: Spec) -> int:
    """Return the evaluation batch size: up to four training micro-batches where samples are small."""
    micro_batch = loop.micro_batch
    shapes = [field.shape for field in spec.fields] + [(*spec.target.shape, max(1, spec.classes))]
    values = sum(math.prod(axis or MAX_EVALUATION_VALUES for axis in shape) for shape in shapes)
    return max(micro_batch, min(4 * micro_batch, MAX_EVALUATION_BATCH, MAX_EVALUATION_VALUES // values))


@dataclass(slots=True)
class BatchLoader:
    """Batches for a rank, transformed and on its device: what `Session.batches` yields."""

    data: DataSplits
    recipe: Recipe
    transform: Transform
    device: Device
    augment: Augment
    prepare: Prepare

    @property
    def seed(self) -> int:
        """Seed of the sampler and of augmentation."""
        return int(self.recipe.loader.seed)

    @property
    def steps(self) -> StepCount:
        """The number of steps."""
        return self.recipe.loop.steps(self.data.training_samples)

    def train(self, epoch: int, done: int, place: dict[str, Any] | None) -> Iterator[tuple[Batch, Any]]:
        """Yield the micro-batches of an epoch, skipping `done` batches, or from a stream's saved position.

        Each comes with what a checkpoint needs to resume behind it; None for splits with positions.
        """
        split = self.data.of_name("train")
        if not isinstance(split, DecodedSplit):
            return self._streamed(split, epoch, done, place)
        order = epoch_order(len(split), self.seed, epoch)
        batches = torch.split(order, self.recipe.loop.batch)[done : self.steps.per_epoch]
        if "train" not in self.data.in_memory:
            return self._loaded(batches, epoch)
        whole_batches = self.device.world == 1 and self.recipe.loop.accumulate == 1
        if whole_batches and "train" in self.data.transformed:
            return self._shuffled(batches)
        return self._gathered(batches, epoch)

    def _micro_batches(self, batches: Iterable[torch.Tensor]) -> Iterator[tuple[torch.Tensor, bool]]:
        """Yield this rank's micro-batches as positions, and whether each is the last of its batch."""
        loop, device = self.recipe.loop, self.device
        for batch in batches:
            parts = micro_batches(batch, device.rank, device.world, loop.accumulate)
            for positions in parts:
                yield positions, positions is parts[-1]

    def _shuffled(self, batches: Sequence[torch.Tensor]) -> Iterator[tuple[Batch, None]]:
        """Shuffle small data once per epoch; batches are then views, with no gather per step."""
        if not batches:
            return
        data, size = self.data.in_memory["train"], self.recipe.loop.batch
        order = torch.cat(list(batches)).to(data.target.device)
        columns = [torch.split(x.index_select(0, order), size) for x in (*data.inputs, data.target)]
        weights = [None] * len(batches) if data.weight is None else torch.split(data.weight[order], size)
        for ids, weight, *inputs, target in zip(batches, weights, *columns, strict=True):
            yield Batch(tuple(inputs), target, ids, True, weight), None

    def _gathered(self, batches: Sequence[torch.Tensor], epoch: int) -> Iterator[tuple[Batch, None]]:
        """Gather batches from the tensors in memory."""
        data, ready = self.data.in_memory["train"], "train" in self.data.transformed
        device = data.target.device
        for positions, last in self._micro_batches(batches):
            index = positions if device.type == "cpu" else positions.to(device)
            inputs = tuple([x.index_select(0, index) for x in data.inputs])
            target = data.target.index_select(0, index)
            weight = None if data.weight is None else data.weight.index_select(0, index)
            if self.augment:
                inputs, target = self.augment(inputs, target, positions, epoch)
            if self.prepare:
                inputs, target = self.prepare(inputs, target, positions, epoch)
            if not ready:
                inputs = self.transform(*inputs)
            yield Batch(inputs, target, positions, last, weight), None

    def _loaded(self, batches: Sequence[torch.Tensor], epoch: int) -> Iterator[tuple[Batch, None]]:
        """Read and decode batches, in worker processes where the recipe has some."""
        parts = list(self._micro_batches(batches))
        loaded = self.data.workers("train", self.recipe).read([positions.tolist() for positions, _ in parts])
        for batch, (ids, last) in zip(loaded, parts, strict=True):
            yield self._move(batch, ids, last, "train", epoch), None

    def _move(self, batch: LoadedBatch, ids: Any, last: bool, split: str, epoch: int | None = None) -> Batch:
        """Move a decoded batch to the device, augment it when `epoch` is given, prepare and transform it."""
        inputs, target, weight = batch
        if (weight is not None) is not self.data.splits[split].weighted:
            raise BadData(f"Only some samples of the {split} split have a weight.", "Set one for each of them.")
        moved, target = tuple(self.device.put(x) for x in inputs), self.device.put(target)
        if self.augment and epoch is not None:
            moved, target = self.augment(moved, target, ids, epoch)
        moved, target = self.prepare(moved, target, ids, epoch)
        return Batch(self.transform(*moved), target, ids, last, None if weight is None else self.device.put(weight))

    def _streamed(
        self, reader: StreamReader, epoch: int, done: int, place: dict[str, Any] | None
    ) -> Iterator[tuple[Batch, Any]]:
        """Yield micro-batches of a stream, each with the position behind its batch, as JSON."""
        loop = self.recipe.loop
        if not loop.steps_per_epoch:
            batches = self._read(reader, epoch, place)
        else:
            batches = islice(self._read_on(reader, place), loop.steps_per_epoch - done)
        for batch, after in batches:
            parts = micro_batches(torch.arange(len(batch.ids)), self.device.rank, self.device.world, loop.accumulate)
            for rows in parts:
                ids = [batch.ids[i] for i in rows.tolist()]
                yield self._move(batch.part(rows), ids, rows is parts[-1], "train", epoch), after

    def _read_on(self, reader: StreamReader, place: dict[str, Any] | None) -> Iterator[tuple[StreamBatch, Any]]:
        """Yield the batches of a stream from a position on, and again from its start when it ends."""
        passes = place["pass"] if place else 0
        while True:
            count = 0
            for batch, after in self._read(reader, passes, place):
                count += 1
                yield batch, {**after, "pass": passes}
            if not count and place is None:
                raise BadData("The training split is empty.", "Its stream has no samples: provide some.")
            passes, place = passes + 1, None

    def _read(
        self, reader: StreamReader, passes: int, place: dict[str, Any] | None
    ) -> Iterator[tuple[StreamBatch, dict[str, Any]]]:
        """Yield the batches of a pass over a stream, each with the position behind it."""
        loop, loader = self.recipe.loop, self.recipe.loader
        plan = EpochPlan(
            streams=loader.streams,
            batch_size=loop.batch,
            shuffle=loader.shuffle,
            seed=self.seed,
            epoch=passes,
            training=True,
        )
        position = StreamPosition.from_json(place) if place else StreamPosition.start(loader.streams)
        for batch, after in read_stream(reader, plan, position, self.data.stream_workers("train", self.recipe)):
            yield batch, after.to_json()

    def held_out(self, name: str, rank: int = 0, world: int = 1) -> Iterator[Batch]:
        """Yield a split in its own order, sharded over ranks without overlap.

        Samples of weight 0 are skipped, as they are in a loss.
        """
        self.data.of_name(name)
        for batch in self._held_out(name, rank, world):
            if batch.weight is not None:
                batch.inputs, batch.target, batch.weight, batch.ids = sample_weights.drop_zero_weights(
                    batch.inputs, batch.target, batch.weight, batch.ids
                )
            if len(batch.target):
                yield batch

    def _held_out(self, name: str, rank: int, world: int) -> Iterator[Batch]:
        split, size = self.data.splits[name], evaluation_batch_size(self.recipe.loop, self.data.spec)
        if isinstance(split, StreamReader):
            plan = EpochPlan(streams=1, batch_size=size, shuffle=size, seed=0, epoch=0, training=False)
            for read in split.read(plan, StreamPosition.start(1), [0]):
                rows = _rank_range(len(read.ids), rank, world)
                if rows:
                    yield self._move(read.part(rows), read.ids[rows.start : rows.stop], True, name)
            return
        rows = _rank_range(len(split), rank, world)
        batches = [range(start, min(start + size, rows.stop)) for start in range(rows.start, rows.stop, size)]
        if name in self.data.in_memory:
            data, ready = self.data.in_memory[name], name in self.data.transformed
            for ids in batches:
                inputs, target, weight = data.part(slice(ids.start, ids.stop))
                inputs, target = self.prepare(inputs, target, ids)
                yield Batch(inputs if ready else self.transform(*inputs), target, ids, True, weight)
        else:
            loaded = self.data.workers(name, self.recipe).read([list(ids) for ids in batches])
            for batch, ids in zip(loaded, batches, strict=True):
                yield self._move(batch, ids, True, name)


def _rank_range(count: int, rank: int, world: int) -> range:
    """Return a rank's contiguous share of `count` positions: ranks in order give the split's order."""
    return range(count * rank // world, count * (rank + 1) // world)
