"""A run's data: its splits as batches on the device, decoded and transformed, from any position on."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from benchdog.api import Batch, Device, Preprocess, Source, Spec, Split, Stream
from benchdog.augment import Augment
from benchdog.errors import BadData, BadUsage, nearest
from benchdog.loading import (
    CHUNK,
    Arrays,
    Resident,
    Samples,
    epoch_order,
    load_resident,
    open_splits,
    pieces,
    preprocess_of,
    sample_bytes,
)
from benchdog.recipe import Recipe
from benchdog.stream import Plan, Position, Reader, StreamWorkers, read_stream
from benchdog.transforms import Transform
from benchdog.workers import Rebuilt, Workers

SMALL = 16 * 2**20
"""Bytes up to which a resident split is transformed once instead of at every step."""
HELD_OUT, VALUES = 256, 1 << 16
"""Samples that are evaluated at once, and numbers of theirs, where that is more than a training batch."""
FIT_SAMPLES = 10_000
"""Samples on which a transform is fitted when the training split doesn't fit into memory."""


@dataclass(slots=True)
class Data:
    """The splits of a source, opened once."""

    spec: Spec
    preprocess: Preprocess
    splits: dict[str, Samples | Reader]
    resident: dict[str, Resident] = field(default_factory=dict)
    ready: set[str] = field(default_factory=set)
    _workers: dict[str, Workers] = field(default_factory=dict)
    _stream_workers: StreamWorkers | None = None

    @classmethod
    def open(cls, source: Source) -> Data:
        """Open a source's splits; nothing is read yet."""
        spec = source.spec()
        preprocess = preprocess_of(source, spec)
        splits: dict[str, Samples | Reader] = {}
        for name, split in open_splits(source).items():
            if isinstance(split, Split):
                splits[name] = Samples(split, spec, preprocess)
            elif isinstance(split, Stream):
                splits[name] = Reader(split, spec, preprocess)
            else:
                raise BadData(f"The source's {name} split has neither len() and raw() nor shards() and read().")
        return cls(spec, preprocess, splits)

    def sizes(self) -> dict[str, int | None]:
        """Count the samples of each split; None for a stream."""
        return {name: len(s) if isinstance(s, Samples) else None for name, s in self.splits.items()}

    def ignore(self, code: int | None) -> None:
        """Allow a code in masks that is no class, since the task ignores it."""
        for split in self.splits.values():
            split.ignore = code

    def fits(self, megabytes: int) -> bool:
        """Say whether all positional splits fit, decoded, into this many MiB."""
        total = sum(sample_bytes(s) * len(s) for s in self.splits.values() if isinstance(s, Samples) and len(s))
        return total <= megabytes * 2**20 and all(isinstance(s, Samples) for s in self.splits.values())

    def load(self, name: str) -> None:
        """Decode a split into memory."""
        samples = self.splits[name]
        if name not in self.resident and isinstance(samples, Samples):
            self.resident[name] = load_resident(samples)

    def chunks(self, name: str) -> Iterator[tuple[tuple[torch.Tensor, ...], torch.Tensor]]:
        """Yield a split decoded, in order, in chunks; for fitting. At most FIT_SAMPLES when not in memory."""
        split = self.splits[name]
        if name in self.resident:
            data = self.resident[name]
            for i in range(0, len(data), CHUNK):
                yield tuple(x[i : i + CHUNK] for x in data.inputs), data.target[i : i + CHUNK]
        elif isinstance(split, Samples):
            count = min(len(split), FIT_SAMPLES)
            positions = [i * len(split) // count for i in range(count)]
            for i in range(0, count, CHUNK):
                inputs, target = split.batch(positions[i : i + CHUNK])
                yield tuple(map(torch.from_numpy, inputs)), torch.from_numpy(target)
        else:
            plan = Plan(streams=1, batch_size=CHUNK, shuffle=CHUNK, seed=0, epoch=0, training=False)
            for number, piece in enumerate(split.read(plan, Position.start(1), [0])):
                if not piece.ids or number * CHUNK >= FIT_SAMPLES:
                    return
                yield piece.inputs, piece.target

    def arrays(self, name: str) -> Arrays:
        """Give a whole split decoded, not transformed: inputs each (N, ...), target (N, ...)."""
        samples = self.splits[name]
        if not isinstance(samples, Samples):
            raise BadData("A stream can't be taken into memory whole.", "Use a trainer that reads batches.")
        data = load_resident(samples)
        return tuple(x.numpy() for x in data.inputs), data.target.numpy()

    @torch.no_grad()
    def settle(self, transform: Transform, device: Device, raw: Sequence[str] = ()) -> None:
        """Put what is in memory onto the device, and transform it there once if that stays small.

        Splits named in `raw` stay as they were decoded.
        """
        for name, data in self.resident.items():
            if name in self.ready:
                continue
            size = sum(x.numel() * 4 for x in data.inputs)
            data.target = device.put(data.target)
            if size > SMALL or name in raw:
                data.inputs = tuple(device.put(x) for x in data.inputs)
                continue
            parts = [
                transform(*(device.put(x[i : i + CHUNK]) for x in data.inputs)) for i in range(0, len(data), CHUNK)
            ]
            data.inputs = tuple(torch.cat(column) for column in zip(*parts, strict=True))
            self.ready.add(name)

    def workers(self, name: str, recipe: Recipe) -> Workers:
        """Give the loader of a split that isn't in memory; its processes stay for the whole run."""
        if name not in self._workers:
            samples = self.splits[name]
            assert isinstance(samples, Samples)
            count = int(recipe.loader.workers)
            self._workers[name] = Workers(Rebuilt(recipe.to_json(), name, samples), count, pin=False)
        return self._workers[name]

    def stream_workers(self, name: str, recipe: Recipe) -> StreamWorkers | None:
        """Give the processes that read a stream, kept for the whole run; None when the loop reads itself."""
        count = int(recipe.loader.workers)
        if count and self._stream_workers is None:
            self._stream_workers = StreamWorkers(recipe.to_json(), name, count, recipe.loader.streams)
        return self._stream_workers


def auto_workers() -> int:
    """Give the number of workers that `auto` means for data that doesn't fit into memory."""
    return min(4, os.cpu_count() or 1)


@dataclass(slots=True)
class Feed:
    """Batches for a rank: what a session's `batches` yields."""

    data: Data
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
            cut = pieces(batch, device.rank, device.world, loop.accumulate)
            for piece in cut:
                yield piece, piece is cut[-1]

    def _shuffled(self, batches: Sequence[torch.Tensor]) -> Iterator[tuple[Batch, None]]:
        """Put small data in the epoch's order once; batches are then views of it."""
        if not batches:
            return
        data, size = self.data.resident["train"], self.recipe.loop.batch
        order = torch.cat(list(batches)).to(data.target.device)
        columns = [torch.split(x.index_select(0, order), size) for x in (*data.inputs, data.target)]
        for ids, *inputs, target in zip(batches, *columns, strict=True):
            yield Batch(tuple(inputs), target, ids), None

    def _gathered(self, batches: Sequence[torch.Tensor], epoch: int) -> Iterator[tuple[Batch, None]]:
        """Pick batches out of the tensors in memory."""
        data, ready = self.data.resident["train"], "train" in self.data.ready
        elsewhere = data.target.device.type != "cpu"
        for piece, last in self._cut(batches):
            index = piece.to(data.target.device) if elsewhere else piece
            inputs = tuple([x.index_select(0, index) for x in data.inputs])
            target = data.target.index_select(0, index)
            if self.augment:
                inputs, target = self.augment(inputs, target, piece, epoch)
            if not ready:
                inputs = self.transform(*inputs)
            yield Batch(inputs, target, piece, last), None

    def _loaded(self, batches: Sequence[torch.Tensor], epoch: int) -> Iterator[tuple[Batch, None]]:
        """Have batches read and decoded, by workers if there are any."""
        cut = list(self._cut(batches))
        loaded = self.data.workers("train", self.recipe).read([piece.tolist() for piece, _ in cut])
        for (inputs, target), (ids, last) in zip(loaded, cut, strict=True):
            yield self._move(inputs, target, ids, last, epoch), None

    def _move(self, inputs: Any, target: torch.Tensor, ids: Any, last: bool, epoch: int | None = None) -> Batch:
        """Bring a batch onto the device and transform it, augmented before when an epoch of training is given."""
        moved, target = tuple(self.device.put(x) for x in inputs), self.device.put(target)
        if self.augment and epoch is not None:
            moved, target = self.augment(moved, target, ids, epoch)
        return Batch(self.transform(*moved), target, ids, last)

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
            cut = pieces(torch.arange(len(piece.ids)), self.device.rank, self.device.world, loop.accumulate)
            for part in cut:
                inputs = tuple(x[part] for x in piece.inputs)
                ids = [piece.ids[i] for i in part.tolist()]
                yield self._move(inputs, piece.target[part], ids, part is cut[-1], epoch), after.to_json()

    def _size(self) -> int:
        """Choose how many samples are evaluated at once: more than in training only if they are small."""
        loop, spec = self.recipe.loop, self.data.spec
        piece = -(-loop.batch // loop.accumulate)
        shapes = [field.shape for field in spec.fields] + [(*spec.target.shape, max(1, spec.classes))]
        values = sum(math.prod(axis or VALUES for axis in shape) for shape in shapes)
        return max(piece, min(4 * piece, HELD_OUT, VALUES // values))

    def held_out(self, name: str) -> Iterator[Batch]:
        """Yield a split in its own order, whole on every rank."""
        if name not in self.data.splits:
            raise BadUsage(f"There is no {name!r} split.", nearest(name, self.data.splits))
        split, size = self.data.splits[name], self._size()
        if isinstance(split, Reader):
            plan = Plan(streams=1, batch_size=size, shuffle=size, seed=0, epoch=0, training=False)
            for piece in split.read(plan, Position.start(1), [0]):
                if piece.ids:
                    yield self._move(piece.inputs, piece.target, piece.ids, True)
        elif name in self.data.resident:
            data = self.data.resident[name]
            for i in range(0, len(data), size):
                inputs = tuple([x[i : i + size] for x in data.inputs])
                if name not in self.data.ready:
                    inputs = self.transform(*inputs)
                yield Batch(inputs, data.target[i : i + size], range(i, min(i + size, len(data))))
        else:
            batches = torch.split(torch.arange(len(split)), size)
            loaded = self.data.workers(name, self.recipe).read([batch.tolist() for batch in batches])
            for (inputs, target), ids in zip(loaded, batches, strict=True):
                yield self._move(inputs, target, ids, True)
