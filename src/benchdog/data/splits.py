"""The data splits of a run, opened once and cached in memory where they fit."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from benchdog.api import Device, Preprocess, Source, Spec, Task
from benchdog.data import sample_weights
from benchdog.data.collate import Collate
from benchdog.data.dataset import (
    CHUNK,
    Arrays,
    DecodedSplit,
    InMemorySplit,
    decoded_splits,
    load_into_memory,
    preprocess_of,
)
from benchdog.data.stream import EpochPlan, StreamPosition, StreamReader, StreamWorkers
from benchdog.data.transform.transform import Transform
from benchdog.data.workers import LoadedBatch, WorkerDataset, Workers
from benchdog.errors import BadData, BadUsage, nearest
from benchdog.plugins import Plugins
from benchdog.recipe.recipe import Recipe

TRANSFORM_ONCE_BYTES = 16 * 2**20
"""Size up to which a split in memory is transformed once instead of at every step."""
ENDLESS_SAMPLES = 2_000
"""Samples of an endless stream that anything but the training looks at."""
FIT_SAMPLES = 10_000
"""Samples that a transform is fitted on when the training split isn't in memory."""


@dataclass(slots=True)
class DataSplits:
    """The splits of a source.

    Attributes:
        in_memory: decoded splits by name.
        transformed: names of those that are transformed already.
        on_device: whether `to_device` has run.
    """

    spec: Spec
    preprocess: Preprocess
    splits: dict[str, DecodedSplit | StreamReader]
    in_memory: dict[str, InMemorySplit] = field(default_factory=dict)
    transformed: set[str] = field(default_factory=set)
    on_device: bool = False
    _workers: dict[str, Workers] = field(default_factory=dict)
    _stream_workers: StreamWorkers | None = None

    @classmethod
    def open(cls, source: Source, plugins: Plugins | None = None, *, samples: bool = True) -> DataSplits:
        """Open a source's splits without reading samples.

        Args:
            plugins: offer the decode operations; None for Benchdog's own alone.
            samples: whether the trainer needs them; without, there are no splits.

        Raises:
            BadData: a split is missing, empty, or neither a Split nor a Stream; one to evaluate on is endless.
        """
        splits, spec = decoded_splits(source, plugins) if samples else {}, source.spec()
        for name, split in splits.items():
            if name != "train" and isinstance(split, StreamReader) and split.endless:
                raise BadData(
                    f"The {name} split is endless, so it can't be evaluated on.",
                    "Its shards must end: only those of train may say endless=True.",
                )
        return cls(spec, preprocess_of(source, spec), splits)

    def sizes(self) -> dict[str, int | None]:
        """Return the number of samples per split; None for a stream."""
        return {name: len(s) if isinstance(s, DecodedSplit) else None for name, s in self.splits.items()}

    @property
    def training_samples(self) -> int | None:
        """The number of training samples; None for a stream, and where the trainer brings the data."""
        return self.sizes().get("train")

    def at_most(self, name: str, samples: int) -> int:
        """Return how many samples of a split to look at: fewer of an endless stream, which has to make them."""
        split = self.splits[name]
        return min(samples, ENDLESS_SAMPLES) if isinstance(split, StreamReader) and split.endless else samples

    def of_name(self, name: str) -> DecodedSplit | StreamReader:
        """Return a split.

        Raises:
            BadUsage: there is none of this name.
        """
        if not self.splits:
            raise BadUsage(f"There is no {name!r} split: the trainer brings its own data.", "Read none from session.")
        if name not in self.splits:
            raise BadUsage(f"There is no {name!r} split.", nearest(name, self.splits))
        return self.splits[name]

    @property
    def weighted(self) -> bool:
        """Whether the samples of any split have weights."""
        return any(split.weighted for split in self.splits.values())

    def weights(self, name: str) -> sample_weights.Weight:
        """Return the sample weights (N,) of a split; None when it has none."""
        samples = self.splits[name]
        if not samples.weighted or not isinstance(samples, DecodedSplit):
            return None
        chunks = [samples.read(range(i, min(i + CHUNK, len(samples))))[2] for i in range(0, len(samples), CHUNK)]
        return np.concatenate([chunk for chunk in chunks if chunk is not None])

    def collate_by(self, task: Task) -> None:
        """Make the batches of every split as a task needs them: it may ignore a code, or collate targets itself."""
        for split in self.splits.values():
            split.collate = Collate.of(split.spec, task)

    def fits(self, megabytes: int) -> bool:
        """Whether all splits, decoded, fit into this many MiB; False if one is a stream."""
        total = sum(s.sample_bytes * len(s) for s in self.splits.values() if isinstance(s, DecodedSplit) and len(s))
        return total <= megabytes * 2**20 and all(isinstance(s, DecodedSplit) for s in self.splits.values())

    def load(self, name: str) -> None:
        """Decode a split into memory, unless it is a stream.

        Raises:
            BadData: all samples have the weight 0.
        """
        samples = self.splits[name]
        if name not in self.in_memory and isinstance(samples, DecodedSplit):
            self.in_memory[name] = data = load_into_memory(samples)
            if data.weight is not None and not bool(data.weight.any()):
                raise BadData(f"All samples of the {name} split have the weight 0.", "Set one of them above 0.")

    def chunks(self, name: str) -> Iterator[tuple[tuple[torch.Tensor, ...], torch.Tensor]]:
        """Yield inputs and target of a split in chunks, for fitting; at most FIT_SAMPLES when not in memory.

        Samples of weight 0 are skipped; the others count equally.
        """
        for batch in self._chunks(name):
            inputs, target, _, _ = sample_weights.drop_zero_weights(*batch)
            if len(target):
                yield inputs, target

    def _chunks(self, name: str) -> Iterator[LoadedBatch]:
        split = self.splits[name]
        if name in self.in_memory:
            data = self.in_memory[name]
            for i in range(0, len(data), CHUNK):
                yield data.part(slice(i, i + CHUNK))
        elif isinstance(split, DecodedSplit):
            count = min(len(split), FIT_SAMPLES)
            positions = [i * len(split) // count for i in range(count)]
            for i in range(0, count, CHUNK):
                inputs, target, weight = split.read(positions[i : i + CHUNK])
                given = None if weight is None else torch.from_numpy(weight)
                yield tuple(map(torch.from_numpy, inputs)), torch.from_numpy(target), given
        else:
            most = self.at_most(name, FIT_SAMPLES)
            plan = EpochPlan(streams=1, batch_size=CHUNK, shuffle=CHUNK, seed=0, epoch=0, training=False)
            for number, batch in enumerate(split.read(plan, StreamPosition.start(1), [0])):
                if not batch.ids or number * CHUNK >= most:
                    return
                yield batch.inputs, batch.target, batch.weight

    def arrays(self, name: str) -> Arrays:
        """Return a whole split decoded, not transformed: inputs each (N, ...), target (N, ...).

        Raises:
            BadData: the split is a stream.
        """
        samples = self.of_name(name)
        if not isinstance(samples, DecodedSplit):
            raise BadData("A stream can't be loaded into memory.", "Use a trainer that reads batches.")
        data = load_into_memory(samples)
        return tuple(x.numpy() for x in data.inputs), data.target.numpy()

    @torch.no_grad()
    def to_device(self, transform: Transform, device: Device, raw: Sequence[str] = ()) -> None:
        """Move the splits in memory to the device; transform small ones there once.

        Splits named in `raw` stay untransformed: augmentations and tasks that prepare work on decoded values.
        """
        for name, data in self.in_memory.items():
            if name in self.transformed:
                continue
            size = sum(x.numel() * 4 for x in data.inputs)
            data.target = device.put(data.target)
            data.weight = None if data.weight is None else device.put(data.weight)
            if size > TRANSFORM_ONCE_BYTES or name in raw:
                data.inputs = tuple(device.put(x) for x in data.inputs)
                continue
            parts = [
                transform(*(device.put(x[i : i + CHUNK]) for x in data.inputs)) for i in range(0, len(data), CHUNK)
            ]
            data.inputs = tuple(torch.cat(column) for column in zip(*parts, strict=True))
            self.transformed.add(name)
        self.on_device = True

    def workers(self, name: str, recipe: Recipe) -> Workers:
        """Return the loader of a split that isn't in memory; its workers persist for the whole run."""
        if name not in self._workers:
            samples = self.splits[name]
            assert isinstance(samples, DecodedSplit)
            count = int(recipe.loader.workers)
            self._workers[name] = Workers(WorkerDataset(recipe.to_json(), name, samples), count, pin=False)
        return self._workers[name]

    def stream_workers(self, name: str, recipe: Recipe) -> StreamWorkers | None:
        """Return the persistent workers of a stream; None with `loader.workers = 0`."""
        count = int(recipe.loader.workers)
        if count and self._stream_workers is None:
            self._stream_workers = StreamWorkers(recipe.to_json(), name, count, recipe.loader.streams)
        return self._stream_workers


def auto_workers() -> int:
    """Return what `loader.workers = "auto"` means for data that doesn't fit into memory."""
    return min(4, os.cpu_count() or 1)
