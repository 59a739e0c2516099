"""A run's data: its splits, opened once, decoded into memory where they fit."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from benchdog.api import Device, Preprocess, Source, Spec, Split, Stream
from benchdog.data import sample_weights
from benchdog.data.dataset import (
    CHUNK,
    Arrays,
    Resident,
    Samples,
    load_resident,
    open_splits,
    preprocess_of,
)
from benchdog.data.stream import Plan, Position, Reader, StreamWorkers
from benchdog.data.transform.transform import Transform
from benchdog.data.workers import Loaded, Rebuilt, Workers
from benchdog.errors import BadData
from benchdog.recipe.recipe import Recipe

SMALL = 16 * 2**20
"""Bytes up to which a resident split is transformed once instead of at every step."""
FIT_SAMPLES = 10_000
"""Samples on which a transform is fitted when the training split doesn't fit into memory."""


@dataclass(slots=True)
class DataSplits:
    """The splits of a source, opened once."""

    spec: Spec
    preprocess: Preprocess
    splits: dict[str, Samples | Reader]
    resident: dict[str, Resident] = field(default_factory=dict)
    ready: set[str] = field(default_factory=set)
    settled: bool = False
    _workers: dict[str, Workers] = field(default_factory=dict)
    _stream_workers: StreamWorkers | None = None

    @classmethod
    def open(cls, source: Source) -> DataSplits:
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

    @property
    def weighted(self) -> bool:
        """Whether samples of some split have weights."""
        return any(split.weighted for split in self.splits.values())

    def weights(self, name: str) -> sample_weights.Weight:
        """Give the weights (N,) of a split; None when its samples have none."""
        samples = self.splits[name]
        if not samples.weighted or not isinstance(samples, Samples):
            return None
        pieces = [samples.read(range(i, min(i + CHUNK, len(samples))))[2] for i in range(0, len(samples), CHUNK)]
        return np.concatenate([piece for piece in pieces if piece is not None])

    def ignore(self, code: int | None) -> None:
        """Allow a code in masks that is no class, since the task ignores it."""
        for split in self.splits.values():
            split.ignore = code

    def fits(self, megabytes: int) -> bool:
        """Say whether all positional splits fit, decoded, into this many MiB."""
        total = sum(s.sample_bytes * len(s) for s in self.splits.values() if isinstance(s, Samples) and len(s))
        return total <= megabytes * 2**20 and all(isinstance(s, Samples) for s in self.splits.values())

    def load(self, name: str) -> None:
        """Decode a split into memory."""
        samples = self.splits[name]
        if name not in self.resident and isinstance(samples, Samples):
            self.resident[name] = data = load_resident(samples)
            if data.weight is not None and not bool(data.weight.any()):
                raise BadData(f"All samples of the {name} split have the weight 0.", "Give one of them more.")

    def chunks(self, name: str) -> Iterator[tuple[tuple[torch.Tensor, ...], torch.Tensor]]:
        """Yield a split decoded, in order, in chunks; for fitting. At most FIT_SAMPLES when not in memory.

        Samples of weight 0 are left out; apart from that, all count the same.
        """
        for batch in self._chunks(name):
            inputs, target, _, _ = sample_weights.present(*batch)
            if len(target):
                yield inputs, target

    def _chunks(self, name: str) -> Iterator[Loaded]:
        split = self.splits[name]
        if name in self.resident:
            data = self.resident[name]
            for i in range(0, len(data), CHUNK):
                yield data.part(slice(i, i + CHUNK))
        elif isinstance(split, Samples):
            count = min(len(split), FIT_SAMPLES)
            positions = [i * len(split) // count for i in range(count)]
            for i in range(0, count, CHUNK):
                inputs, target, weight = split.read(positions[i : i + CHUNK])
                given = None if weight is None else torch.from_numpy(weight)
                yield tuple(map(torch.from_numpy, inputs)), torch.from_numpy(target), given
        else:
            plan = Plan(streams=1, batch_size=CHUNK, shuffle=CHUNK, seed=0, epoch=0, training=False)
            for number, piece in enumerate(split.read(plan, Position.start(1), [0])):
                if not piece.ids or number * CHUNK >= FIT_SAMPLES:
                    return
                yield piece.inputs, piece.target, piece.weight

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
            data.weight = None if data.weight is None else device.put(data.weight)
            if size > SMALL or name in raw:
                data.inputs = tuple(device.put(x) for x in data.inputs)
                continue
            parts = [
                transform(*(device.put(x[i : i + CHUNK]) for x in data.inputs)) for i in range(0, len(data), CHUNK)
            ]
            data.inputs = tuple(torch.cat(column) for column in zip(*parts, strict=True))
            self.ready.add(name)
        self.settled = True

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
