"""Sharded streams: K logical streams, each with a shuffle buffer, merged in an order that workers don't affect.

A position holds for each logical stream which of its shards is being read, where the shuffle block begins and how
many of the block's samples are consumed; and which stream is next. It is plain data, kept in checkpoints.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any
from zlib import crc32

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from benchdog.api import Preprocess, Raw, Shard, Spec, Stream
from benchdog.data import sample_weights
from benchdog.data.collate import Collate, collate_of
from benchdog.data.dataset import decoded_splits, open_data
from benchdog.data.decode.decoder import Decoder
from benchdog.data.randomness import derive_seed
from benchdog.data.worker_processes import Fault, WorkerContext, reported
from benchdog.data.workers import init_worker
from benchdog.plugins import Plugins
from benchdog.recipe.recipe import Recipe

ShardCursor = tuple[int, int, int]
"""(shard of the logical stream, first sample of the shuffle block, consumed samples of the block)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EpochPlan:
    """How a stream is read in an epoch: `shuffle` is the buffer size, in samples."""

    streams: int
    batch_size: int
    shuffle: int
    seed: int
    epoch: int
    training: bool


@dataclass(slots=True)
class StreamPosition:
    """A position in the merged stream: a cursor per logical stream, None where it is exhausted."""

    places: list[ShardCursor | None]
    next: int = 0

    @classmethod
    def start(cls, streams: int) -> StreamPosition:
        """Return the beginning of an epoch."""
        return cls([(0, 0, 0)] * streams)

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form that checkpoints keep."""
        return {"places": [None if p is None else list(p) for p in self.places], "next": self.next}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> StreamPosition:
        """Restore a position from its JSON form."""
        return cls([None if p is None else (p[0], p[1], p[2]) for p in data["places"]], data["next"])

    def advanced(self, k: int, place: ShardCursor | None) -> StreamPosition:
        """Return the position behind a batch (or the end) of stream k."""
        places = [place if i == k else p for i, p in enumerate(self.places)]
        return StreamPosition(places, (k + 1) % len(places))

    def next_stream(self) -> int | None:
        """Return the stream to read from next, round-robin; None at the end of the epoch."""
        for step in range(len(self.places)):
            k = (self.next + step) % len(self.places)
            if self.places[k] is not None:
                return k
        return None


@dataclass(slots=True)
class StreamBatch:
    """A batch of a logical stream, or its end (`ids` empty); `place` is the cursor behind it."""

    stream: int
    inputs: tuple[Tensor, ...]
    target: Tensor
    ids: list[str]
    place: ShardCursor | None
    weight: Tensor | None = None

    def part(self, rows: range | Tensor) -> tuple[tuple[Tensor, ...], Tensor, Tensor | None]:
        """Return inputs, target and weights of some rows."""
        at = slice(rows.start, rows.stop) if isinstance(rows, range) else rows
        weight = None if self.weight is None else self.weight[at]
        return tuple(x[at] for x in self.inputs), self.target[at], weight


def assign_shards(stream: Stream, plan: EpochPlan) -> list[list[Shard]]:
    """Distribute the shards over the logical streams, shuffled per epoch when training."""
    shards = list(stream.shards())
    order = list(range(len(shards)))
    if plan.training:
        generator = torch.Generator().manual_seed(derive_seed(plan.seed, plan.epoch, salt=2))
        order = torch.randperm(len(shards), generator=generator).tolist()
    return [[shards[i] for i in order[k :: plan.streams]] for k in range(plan.streams)]


def read_shards(
    stream: Stream, shards: Sequence[Shard], cursor: ShardCursor, plan: EpochPlan
) -> Iterator[tuple[Raw, ShardCursor]]:
    """Yield the samples of a logical stream from a cursor on, each with the cursor behind it."""
    first, offset, consumed = cursor
    for number in range(first, len(shards)):
        reader = iter(stream.read(shards[number], offset))
        while block := list(islice(reader, plan.shuffle)):
            order = _block_order(len(block), shards[number].name, offset, plan)
            for i, j in enumerate(order[consumed:], start=consumed):
                yield block[j], (number, offset, i + 1)
            offset, consumed = offset + len(block), 0
            if len(block) < plan.shuffle:
                break
        offset = 0


def _block_order(size: int, shard: str, offset: int, plan: EpochPlan) -> list[int]:
    # Seeded by shard and offset: a resumed run shuffles a block alike without reading the blocks before it.
    if not plan.training:
        return list(range(size))
    seed = derive_seed(derive_seed(plan.seed, plan.epoch, salt=3), offset, salt=crc32(shard.encode()))
    order: list[int] = torch.randperm(size, generator=torch.Generator().manual_seed(seed)).tolist()
    return order


class StreamReader:
    """Reads and decodes logical streams in the merged order."""

    def __init__(self, stream: Stream, spec: Spec, preprocess: Preprocess, plugins: Plugins | None = None) -> None:
        self.stream, self.spec, self.preprocess, self.plugins = stream, spec, preprocess, plugins
        self.collate = Collate(spec)

    @cached_property
    def decoder(self) -> Decoder:
        """The operations that decode a raw sample."""
        return Decoder(self.spec, self.preprocess, self.plugins)

    @property
    def endless(self) -> bool:
        """Whether one of its shards has no end."""
        return any(shard.endless for shard in self.stream.shards())

    @cached_property
    def weighted(self) -> bool:
        """Whether its samples have weights: all do if the first one does."""
        raws = (raw for shard in self.stream.shards() for raw in self.stream.read(shard, 0))
        first = next(raws, None)
        return first is not None and first.weight is not None

    def read(self, plan: EpochPlan, position: StreamPosition, streams: Sequence[int]) -> Iterator[StreamBatch]:
        """Yield batches of the given logical streams, in the order of the merged stream."""
        shards = assign_shards(self.stream, plan)
        places = [p if k in streams else None for k, p in enumerate(position.places)]
        position = StreamPosition(places, position.next)
        readers = {k: read_shards(self.stream, shards[k], p, plan) for k, p in enumerate(places) if p is not None}
        while (k := position.next_stream()) is not None:
            samples = list(islice(readers[k], plan.batch_size))
            batch = self._batch(k, [raw for raw, _ in samples], samples[-1][1] if samples else None)
            position = position.advanced(k, batch.place)
            yield batch

    def _batch(self, k: int, raws: list[Raw], place: ShardCursor | None) -> StreamBatch:
        if not raws:
            return StreamBatch(k, (), torch.empty(0), [], None)
        inputs = self.decoder.batch(raws)
        target = self.collate.raws(raws)
        tensors = tuple(torch.from_numpy(np.ascontiguousarray(x)) for x in inputs)
        given = sample_weights.stack_weights(raws)
        weight = None if given is None else torch.from_numpy(given)
        return StreamBatch(k, tensors, torch.from_numpy(target), [raw.id for raw in raws], place, weight)


class _StreamDataset(Dataset[StreamBatch | Fault | None]):
    """A worker's logical streams, reopened in its process; each request is for their next batch."""

    def __init__(self, recipe: dict[str, Any], split: str, streams: list[int]) -> None:
        self.recipe, self.split, self.streams = recipe, split, streams
        self._reader: StreamReader | None = None
        self._batches: Iterator[StreamBatch] = iter(())

    def __getitem__(self, start: tuple[EpochPlan, StreamPosition] | None) -> StreamBatch | Fault | None:
        return reported(self._next, start)

    def _next(self, start: tuple[EpochPlan, StreamPosition] | None) -> StreamBatch | None:
        if start is not None:
            self._batches = self._open().read(*start, self.streams)
        return next(self._batches, None)

    def _open(self) -> StreamReader:
        if self._reader is None:
            resolved = Recipe.from_json(self.recipe)
            plugins = Plugins.discover(resolved.plugins)
            source = open_data(plugins, resolved.source, resolved.sources)
            reader = decoded_splits(source, plugins)[self.split]
            assert isinstance(reader, StreamReader)
            self._reader = reader
            self._reader.collate = collate_of(plugins, resolved.task, reader.spec)
        return self._reader


class _Requests:
    """A worker's sampler: the epoch's plan and start position first, then None for each further batch."""

    start: tuple[EpochPlan, StreamPosition] | None = None

    def __iter__(self) -> Iterator[tuple[EpochPlan, StreamPosition] | None]:
        yield self.start
        while True:
            yield None


class StreamWorkers:
    """Persistent worker processes that prefetch logical streams."""

    def __init__(self, recipe: dict[str, Any], split: str, workers: int, streams: int) -> None:
        self._requests, self._context = _Requests(), WorkerContext()
        self._loaders = [
            DataLoader(
                _StreamDataset(recipe, split, list(range(w, streams, workers))),
                batch_size=None,
                sampler=self._requests,
                num_workers=1,
                multiprocessing_context=self._context,
                persistent_workers=True,
                worker_init_fn=init_worker,
            )
            for w in range(min(workers, streams))
        ]

    def read(self, plan: EpochPlan, position: StreamPosition) -> list[Iterator[StreamBatch]]:
        """Start an epoch at a position; return one iterator per worker.

        Raises:
            Failed: a worker can't be started.
        """
        self._requests.start = (plan, position)
        iterators = [self._context.started(loader) for loader in self._loaders]
        return [self._context.received(batches) for batches in iterators]


def read_stream(
    reader: StreamReader, plan: EpochPlan, position: StreamPosition, workers: StreamWorkers | None = None
) -> Iterator[tuple[StreamBatch, StreamPosition]]:
    """Yield batches and the position behind each, independent of the number of workers."""
    sources = workers.read(plan, position) if workers else [reader.read(plan, position, range(plan.streams))]
    while (k := position.next_stream()) is not None:
        batch = next(sources[k % len(sources)])
        assert batch.stream == k, "logical streams came out of order"
        position = position.advanced(k, batch.place)
        if batch.ids:
            yield batch, position
