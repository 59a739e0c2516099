"""What a session's `batches` yields: a rank's pieces of batches, on its device, from any position on."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from benchdog.api import Batch, Device, Spec
from benchdog.data import sample_weights
from benchdog.data.augment import Augment
from benchdog.data.dataset import Samples
from benchdog.data.sampler import epoch_order, micro_batches
from benchdog.data.splits import DataSplits
from benchdog.data.stream import Plan, Position, Reader, read_stream
from benchdog.data.transform.transform import Transform
from benchdog.data.workers import Loaded
from benchdog.errors import BadData, BadUsage, nearest
from benchdog.recipe.recipe import LoopConfig, Recipe

HELD_OUT, VALUES = 256, 1 << 16
"""Samples that are evaluated at once, and numbers of theirs, where that is more than a training batch."""


def held_out_size(loop: LoopConfig, spec: Spec) -> int:
    """Choose how many samples are evaluated at once: more than in training only if they are small."""
    piece = -(-loop.batch // loop.accumulate)
    shapes = [field.shape for field in spec.fields] + [(*spec.target.shape, max(1, spec.classes))]
    values = sum(math.prod(axis or VALUES for axis in shape) for shape in shapes)
    return max(piece, min(4 * piece, HELD_OUT, VALUES // values))


@dataclass(slots=True)
class BatchLoader:
    """Batches for a rank: what a session's `batches` yields."""

    data: DataSplits
    recipe: Recipe
    transform: Transform
    device: Device
    augment: Augment

    @property
    def seed(self) -> int:
        """What decides order and augmentation."""
        return int(self.recipe.loader.seed)

    def steps_per_epoch(self) -> int | None:
        """Count the steps of an epoch; None for a stream."""
        split = self.data.splits["train"]
        if not isinstance(split, Samples):
            return None
        return -(-len(split) // self.recipe.loop.batch)

    def train(self, epoch: int, done: int, place: dict[str, Any] | None) -> Iterator[tuple[Batch, Any]]:
        """Yield the pieces of an epoch's batches from batch `done` (or a stream's place) on."""
        split = self.data.splits["train"]
        if not isinstance(split, Samples):
            return self._streamed(split, epoch, place)
        order = epoch_order(len(split), self.seed, epoch)
        batches = torch.split(order, self.recipe.loop.batch)[done:]
        if "train" not in self.data.resident:
            return self._loaded(batches, epoch)
        plain = self.device.world == 1 and self.recipe.loop.accumulate == 1
        return self._shuffled(batches) if plain and "train" in self.data.ready else self._gathered(batches, epoch)

    def _cut(self, batches: Iterable[torch.Tensor]) -> Iterator[tuple[torch.Tensor, bool]]:
        """Yield this rank's pieces of batches, and whether each is its batch's last."""
        loop, device = self.recipe.loop, self.device
        for batch in batches:
            cut = micro_batches(batch, device.rank, device.world, loop.accumulate)
            for piece in cut:
                yield piece, piece is cut[-1]

    def _shuffled(self, batches: Sequence[torch.Tensor]) -> Iterator[tuple[Batch, None]]:
        """Put small data in the epoch's order once; batches are then views of it."""
        if not batches:
            return
        data, size = self.data.resident["train"], self.recipe.loop.batch
        order = torch.cat(list(batches)).to(data.target.device)
        columns = [torch.split(x.index_select(0, order), size) for x in (*data.inputs, data.target)]
        weights = [None] * len(batches) if data.weight is None else torch.split(data.weight[order], size)
        for ids, weight, *inputs, target in zip(batches, weights, *columns, strict=True):
            yield Batch(tuple(inputs), target, ids, True, weight), None

    def _gathered(self, batches: Sequence[torch.Tensor], epoch: int) -> Iterator[tuple[Batch, None]]:
        """Pick batches out of the tensors in memory."""
        data, ready = self.data.resident["train"], "train" in self.data.ready
        elsewhere = data.target.device.type != "cpu"
        for piece, last in self._cut(batches):
            index = piece.to(data.target.device) if elsewhere else piece
            inputs = tuple([x.index_select(0, index) for x in data.inputs])
            target = data.target.index_select(0, index)
            weight = None if data.weight is None else data.weight.index_select(0, index)
            if self.augment:
                inputs, target = self.augment(inputs, target, piece, epoch)
            if not ready:
                inputs = self.transform(*inputs)
            yield Batch(inputs, target, piece, last, weight), None

    def _loaded(self, batches: Sequence[torch.Tensor], epoch: int) -> Iterator[tuple[Batch, None]]:
        """Have batches read and decoded, by workers if there are any."""
        cut = list(self._cut(batches))
        loaded = self.data.workers("train", self.recipe).read([piece.tolist() for piece, _ in cut])
        for batch, (ids, last) in zip(loaded, cut, strict=True):
            yield self._move(batch, ids, last, "train", epoch), None

    def _move(self, batch: Loaded, ids: Any, last: bool, split: str, epoch: int | None = None) -> Batch:
        """Bring a batch onto the device and transform it, augmented before when an epoch of training is given."""
        inputs, target, weight = batch
        if (weight is not None) is not self.data.splits[split].weighted:
            raise BadData(f"Some samples of the {split} split have a weight, some have none.", "Give each one.")
        moved, target = tuple(self.device.put(x) for x in inputs), self.device.put(target)
        if self.augment and epoch is not None:
            moved, target = self.augment(moved, target, ids, epoch)
        return Batch(self.transform(*moved), target, ids, last, None if weight is None else self.device.put(weight))

    def _streamed(self, reader: Reader, epoch: int, place: dict[str, Any] | None) -> Iterator[tuple[Batch, Any]]:
        loop, loader = self.recipe.loop, self.recipe.loader
        plan = Plan(
            streams=loader.streams,
            batch_size=loop.batch,
            shuffle=loader.shuffle,
            seed=self.seed,
            epoch=epoch,
            training=True,
        )
        position = Position.from_json(place) if place else Position.start(loader.streams)
        read = read_stream(reader, plan, position, self.data.stream_workers("train", self.recipe))
        for piece, after in read:
            cut = micro_batches(torch.arange(len(piece.ids)), self.device.rank, self.device.world, loop.accumulate)
            for part in cut:
                ids = [piece.ids[i] for i in part.tolist()]
                yield self._move(piece.part(part), ids, part is cut[-1], "train", epoch), after.to_json()

    def held_out(self, name: str, rank: int = 0, world: int = 1) -> Iterator[Batch]:
        """Yield a split in its own order, or one rank's part of it: parts are disjoint, and all of it together.

        Samples of weight 0 are left out, as from a loss.
        """
        if name not in self.data.splits:
            raise BadUsage(f"There is no {name!r} split.", nearest(name, self.data.splits))
        for batch in self._held_out(name, rank, world):
            if batch.weight is not None:
                batch.inputs, batch.target, batch.weight, batch.ids = sample_weights.present(
                    batch.inputs, batch.target, batch.weight, batch.ids
                )
            if len(batch.target):
                yield batch

    def _held_out(self, name: str, rank: int, world: int) -> Iterator[Batch]:
        split, size = self.data.splits[name], held_out_size(self.recipe.loop, self.data.spec)
        if isinstance(split, Reader):
            plan = Plan(streams=1, batch_size=size, shuffle=size, seed=0, epoch=0, training=False)
            for piece in split.read(plan, Position.start(1), [0]):
                mine = _share(len(piece.ids), rank, world)
                if mine:
                    yield self._move(piece.part(mine), piece.ids[mine.start : mine.stop], True, name)
            return
        mine = _share(len(split), rank, world)
        starts = range(mine.start, mine.stop, size)
        places = [range(start, min(start + size, mine.stop)) for start in starts]
        if name in self.data.resident:
            data, ready = self.data.resident[name], name in self.data.ready
            for ids in places:
                inputs, target, weight = data.part(slice(ids.start, ids.stop))
                yield Batch(inputs if ready else self.transform(*inputs), target, ids, True, weight)
        else:
            loaded = self.data.workers(name, self.recipe).read([list(ids) for ids in places])
            for batch, ids in zip(loaded, places, strict=True):
                yield self._move(batch, ids, True, name)


def _share(count: int, rank: int, world: int) -> range:
    """Give a rank's positions among so many: one after the other, so that ranks in order give the split's order."""
    return range(count * rank // world, count * (rank + 1) // world)
