"""Batches from shards: K logical streams, each shuffled in blocks, merged in one order that workers can't change.

A position says, for each logical stream, which of its shards is read, where the block begins, and how many
of the block's samples are gone; and which stream is next. It is plain data: a checkpoint keeps it.
"""

from __future__ import annotations

import os
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
from benchdog.data.dataset import Samples, check_codes, ignored_code, open_source, open_splits, preprocess_of
from benchdog.data.decode.decoder import Decoder
from benchdog.data.randomness import derive_seed
from benchdog.data.workers import calm
from benchdog.plugins import Plugins
from benchdog.recipe.recipe import Recipe

Place = tuple[int, int, int]
"""(shard of the logical stream, first sample of the block, samples of the block that are gone)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """How a stream is read in an epoch."""

    streams: int
    batch_size: int
    shuffle: int
    seed: int
    epoch: int
    training: bool


@dataclass(slots=True)
class Position:
    """Where the merged stream stands: a place for each logical stream, None for one that is at its end."""

    places: list[Place | None]
    next: int = 0

    @classmethod
    def start(cls, streams: int) -> Position:
        """Give the beginning of an epoch."""
        return cls([(0, 0, 0)] * streams)

    def to_json(self) -> dict[str, Any]:
        """Give the form that checkpoints keep."""
        return {"places": [None if p is None else list(p) for p in self.places], "next": self.next}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Position:
        """Take the form that checkpoints keep."""
        return cls([None if p is None else (p[0], p[1], p[2]) for p in data["places"]], data["next"])

    def after(self, k: int, place: Place | None) -> Position:
        """Give the position after a batch (or the end) of stream k."""
        places = [place if i == k else p for i, p in enumerate(self.places)]
        return Position(places, (k + 1) % len(places))

    def turn(self) -> int | None:
        """Say which stream is next; None at the end."""
        for step in range(len(self.places)):
            k = (self.next + step) % len(self.places)
            if self.places[k] is not None:
                return k
        return None


@dataclass(slots=True)
class Piece:
    """What a logical stream gives at its turn: a batch, or its end (`ids` empty)."""

    stream: int
    inputs: tuple[Tensor, ...]
    target: Tensor
    ids: list[str]
    place: Place | None
    weight: Tensor | None = None

    def part(self, rows: range | Tensor) -> tuple[tuple[Tensor, ...], Tensor, Tensor | None]:
        """Give some of its samples: inputs, target, weights."""
        at = slice(rows.start, rows.stop) if isinstance(rows, range) else rows
        weight = None if self.weight is None else self.weight[at]
        return tuple(x[at] for x in self.inputs), self.target[at], weight


def shards_of(stream: Stream, plan: Plan) -> list[list[Shard]]:
    """Deal the shards out to the logical streams, in an order of the epoch's own when training."""
    shards = list(stream.shards())
    order = list(range(len(shards)))
    if plan.training:
        generator = torch.Generator().manual_seed(derive_seed(plan.seed, plan.epoch, salt=2))
        order = torch.randperm(len(shards), generator=generator).tolist()
    return [[shards[i] for i in order[k :: plan.streams]] for k in range(plan.streams)]


def walk(stream: Stream, shards: Sequence[Shard], place: Place, plan: Plan) -> Iterator[tuple[Raw, Place]]:
    """Yield the samples of a logical stream from a place on, each with the place behind it."""
    first, offset, gone = place
    for number in range(first, len(shards)):
        reader = iter(stream.read(shards[number], offset))
        while block := list(islice(reader, plan.shuffle)):
            for i, j in enumerate(_block_order(len(block), shards[number].name, offset, plan)[gone:], start=gone):
                yield block[j], (number, offset, i + 1)
            offset, gone = offset + len(block), 0
            if len(block) < plan.shuffle:
                break
        offset = 0


def _block_order(size: int, shard: str, offset: int, plan: Plan) -> list[int]:
    if not plan.training:
        return list(range(size))
    seed = derive_seed(derive_seed(plan.seed, plan.epoch, salt=3), offset, salt=crc32(shard.encode()))
    order: list[int] = torch.randperm(size, generator=torch.Generator().manual_seed(seed)).tolist()
    return order


class Reader:
    """Reads some of the logical streams, at their turns."""

    def __init__(self, stream: Stream, spec: Spec, preprocess: Preprocess) -> None:
        self.stream, self.spec, self.preprocess = stream, spec, preprocess
        self.ignore: int | None = None

    @cached_property
    def decoder(self) -> Decoder:
        """The operations that decode a raw sample."""
        return Decoder(self.spec, self.preprocess)

    @cached_property
    def weighted(self) -> bool:
        """Whether its samples have weights: as the first one, so all."""
        raws = (raw for shard in self.stream.shards() for raw in self.stream.read(shard, 0))
        first = next(raws, None)
        return first is not None and first.weight is not None

    def read(self, plan: Plan, position: Position, mine: Sequence[int]) -> Iterator[Piece]:
        """Yield pieces of the streams in `mine`, in the order in which the merged stream wants them."""
        shards = shards_of(self.stream, plan)
        places = [p if k in mine else None for k, p in enumerate(position.places)]
        position = Position(places, position.next)
        walks = {k: walk(self.stream, shards[k], p, plan) for k, p in enumerate(places) if p is not None}
        while (k := position.turn()) is not None:
            got = list(islice(walks[k], plan.batch_size))
            piece = self._piece(k, [raw for raw, _ in got], got[-1][1] if got else None)
            position = position.after(k, piece.place)
            yield piece

    def _piece(self, k: int, raws: list[Raw], place: Place | None) -> Piece:
        if not raws:
            return Piece(k, (), torch.empty(0), [], None)
        inputs = self.decoder.batch(raws)
        target = Samples.stack_targets(self, raws)  # type: ignore[arg-type]
        check_codes(target, self.spec, lambda row: raws[row].id, self.ignore)
        tensors = tuple(torch.from_numpy(np.ascontiguousarray(x)) for x in inputs)
        given = sample_weights.of_raws(raws)
        weight = None if given is None else torch.from_numpy(given)
        return Piece(k, tensors, torch.from_numpy(target), [raw.id for raw in raws], place, weight)


class _Turns(Dataset[Piece | None]):
    """One worker's logical streams, rebuilt in its process: each request is for the next piece of them."""

    def __init__(self, recipe: dict[str, Any], split: str, mine: list[int]) -> None:
        self.recipe, self.split, self.mine = recipe, split, mine
        self._reader: Reader | None = None
        self._pieces: Iterator[Piece] = iter(())

    def __getitem__(self, start: tuple[Plan, Position] | None) -> Piece | None:
        if start is not None:
            self._pieces = self._open().read(*start, self.mine)
        return next(self._pieces, None)

    def _open(self) -> Reader:
        if self._reader is None:
            resolved = Recipe.from_json(self.recipe)
            plugins = Plugins.discover(resolved.plugins)
            source = open_source(plugins, resolved.source)
            spec = source.spec()
            split = open_splits(source)[self.split]
            assert isinstance(split, Stream)
            self._reader = Reader(split, spec, preprocess_of(source, spec))
            self._reader.ignore = ignored_code(plugins, resolved.task)
        return self._reader


class _Requests:
    """What a worker is asked: where an epoch begins, then for piece after piece."""

    start: tuple[Plan, Position] | None = None

    def __iter__(self) -> Iterator[tuple[Plan, Position] | None]:
        yield self.start
        while True:
            yield None


class StreamWorkers:
    """Processes that read logical streams ahead of the loop; they stay from epoch to epoch."""

    def __init__(self, recipe: dict[str, Any], split: str, workers: int, streams: int) -> None:
        self._requests = _Requests()
        self._loaders = [
            DataLoader(
                _Turns(recipe, split, list(range(w, streams, workers))),
                batch_size=None,
                sampler=self._requests,
                num_workers=1,
                multiprocessing_context=os.environ.get("BENCHDOG_START", "spawn"),
                persistent_workers=True,
                worker_init_fn=calm,
            )
            for w in range(min(workers, streams))
        ]

    def read(self, plan: Plan, position: Position) -> list[Iterator[Piece]]:
        """Begin at a position; give an iterator for each worker."""
        self._requests.start = (plan, position)
        return [iter(loader) for loader in self._loaders]


def read_stream(
    reader: Reader, plan: Plan, position: Position, workers: StreamWorkers | None = None
) -> Iterator[tuple[Piece, Position]]:
    """Yield batches and the position behind each; the same ones for every number of workers."""
    sources = workers.read(plan, position) if workers else [reader.read(plan, position, range(plan.streams))]
    while (k := position.turn()) is not None:
        piece = next(sources[k % len(sources)])
        assert piece.stream == k, "logical streams came out of order"
        position = position.after(k, piece.place)
        if piece.ids:
            yield piece, position
