"""From a source's splits to batches: decoded, in a fixed order, whatever the number of workers or ranks."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchdog.api import (
    ArraySplit,
    BatchSplit,
    DownloadedSource,
    IndexedSplit,
    Preprocess,
    PreprocessedSource,
    Raw,
    Source,
    Spec,
    Split,
    Stream,
    TaskDefaults,
    split_of,
    with_defaults,
)
from benchdog.data import sample_weights
from benchdog.data.decode.decoder import Decoder, default_preprocess
from benchdog.errors import BadData
from benchdog.plugins import Plugins
from benchdog.recipe.recipe import ComponentConfig

CHUNK = 512
"""Samples decoded at a time when a whole split is read."""

Arrays = tuple[tuple[np.ndarray, ...], np.ndarray]
Weighted = tuple[tuple[np.ndarray, ...], np.ndarray, sample_weights.Weight]
"""Inputs, target, and the samples' weights or None."""


class Listed:
    """A split given as a plain list of samples."""

    def __init__(self, raws: Sequence[Raw]) -> None:
        self._raws = raws

    def __len__(self) -> int:
        return len(self._raws)

    def raw(self, i: int, /) -> Raw:
        return self._raws[i]


def content_of(raw: Raw) -> bytes:
    """Give the bytes that decide which split a sample belongs to."""

    def plain(value: Any) -> bytes:
        if isinstance(value, bytes):
            return value
        if isinstance(value, np.ndarray):
            return str((value.dtype.str, value.shape)).encode() + value.tobytes()
        return json.dumps(value, sort_keys=True, default=str).encode()

    return b"\0".join(plain(raw.fields[name]) for name in sorted(raw.fields))


def open_splits(source: Source, seed: int = 0) -> dict[str, Split | Stream]:
    """Open a source: train and valid (and test) by name. One plain list is split by content hash.

    Raises:
        BadData: a split that is needed is missing or empty.
    """
    opened = source.open()
    if not isinstance(opened, Mapping):
        parts: dict[str, list[Raw]] = {"train": [], "valid": [], "test": []}
        for raw in opened:
            parts[split_of(content_of(raw), seed=seed)].append(raw)
        opened = parts
    splits: dict[str, Split | Stream] = {}
    for name, split in opened.items():
        if name not in ("train", "valid", "test"):
            raise BadData(f"The source has a split {name!r}; a split is train, valid or test.")
        splits[name] = Listed(split) if isinstance(split, list | tuple) else split  # type: ignore[assignment]
    for name in ("train", "valid"):
        needed = splits.get(name)
        if needed is None or (isinstance(needed, Split) and len(needed) == 0):
            total = sum(len(s) for s in splits.values() if isinstance(s, Split))
            raise BadData(
                f"The source's {name} split has no samples ({total} in all).",
                "Training needs a train and a valid split: give more data, or other shares.",
            )
    return splits


class Samples:
    """A split that gives decoded, stacked samples by position.

    Attributes:
        ignore: a code in masks that is no class, and allowed all the same.
    """

    def __init__(self, split: Split, spec: Spec, preprocess: Preprocess) -> None:
        self.split, self.spec, self.preprocess = split, spec, preprocess
        self.ignore: int | None = None
        self._fast = split.batch if isinstance(split, BatchSplit) else None

    def __len__(self) -> int:
        return len(self.split)

    @cached_property
    def decoder(self) -> Decoder:
        """The operations that decode a raw sample; checked at the first use, which a fast path never makes."""
        return Decoder(self.spec, self.preprocess)

    @cached_property
    def weighted(self) -> bool:
        """Whether its samples have weights: as the first one, so all."""
        return len(self) > 0 and self.split.raw(0).weight is not None

    @cached_property
    def sample_bytes(self) -> int:
        """Bytes of the first sample, decoded."""
        inputs, target = self.batch([0])
        return sum(x.nbytes for x in inputs) + target.nbytes

    def batch(self, indices: Sequence[int]) -> Arrays:
        """Decode and stack: inputs each (B, ...) in the spec's order, target (B, ...)."""
        inputs, target, _ = self.read(indices)
        return inputs, target

    def read(self, indices: Sequence[int]) -> Weighted:
        """Give what `batch` gives, and the samples' weights."""
        if self._fast is not None:
            inputs, target, *more = self._fast(indices)
            target, weight = np.asarray(target), self.checked(more, len(indices), lambda row: int(indices[row]))
        else:
            inputs, target, weight = self.slow_read(indices)
        check_codes(target, self.spec, lambda row: self.split.raw(int(indices[row])).id, self.ignore)
        return inputs, target, weight

    def slow_read(self, indices: Sequence[int]) -> Weighted:
        """Do what `read` does by way of `raw`, without the source's fast path."""
        raws = [self.split.raw(int(i)) for i in indices]
        inputs = self.decoder.batch(raws)
        weight = sample_weights.of_raws(raws)
        if (weight is None) is self.weighted:
            raise BadData(f"Samples {raws[0].id} and {self.split.raw(0).id}: one of them has a weight, one has none.")
        return inputs, self.stack_targets(raws), weight

    def checked(self, more: Sequence[Any], count: int, place: Callable[[int], int]) -> sample_weights.Weight:
        """Look at the weights that a fast path gave, if it gave any; `place` gives a row's position."""
        if not more or more[0] is None:
            return None
        return sample_weights.checked(more[0], count, lambda row: self.split.raw(place(row)).id)

    def stack_targets(self, raws: Sequence[Raw]) -> np.ndarray:
        """Stack targets in the spec's type."""
        dtype = np.dtype(self.spec.target.dtype)
        try:
            return np.stack([np.asarray(raw.target, dtype=dtype) for raw in raws])
        except (TypeError, ValueError) as error:
            raise BadData(f"A target among samples {raws[0].id} ... {raws[-1].id} doesn't fit: {error}.") from None

    def ids(self, indices: Sequence[int]) -> list[str]:
        """Give the ids of samples."""
        if isinstance(self.split, IndexedSplit):
            return [self.split.id(int(i)) for i in indices]
        return [self.split.raw(int(i)).id for i in indices]


def check_codes(target: np.ndarray, spec: Spec, name: Callable[[int], str], ignore: int | None = None) -> None:
    """Refuse class codes that don't exist: some losses would leave them out in silence.

    Args:
        target: of samples (B, ...).
        name: gives the id of a row.
        ignore: a code in masks, or among tokens, that the task ignores.
    """
    classes = spec.classes
    if spec.target.kind == "labels" and not ((target == 0) | (target == 1)).all():
        row = int(np.flatnonzero(((target != 0) & (target != 1)).reshape(len(target), -1).any(1))[0])
        raise BadData(f"Sample {name(row)} has a label that is neither 0 nor 1.", "1 says that it is true.")
    if not classes or not target.size or spec.target.kind not in ("class", "mask", "next-token"):
        return
    if ignore is not None and spec.target.kind != "class":
        target = np.where(target == ignore, 0, target)
    if target.min() < 0 or target.max() >= classes:
        flat = target.reshape(len(target), -1)
        row = int(np.flatnonzero((flat.min(1) < 0) | (flat.max(1) >= classes))[0])
        hint = "" if spec.target.kind == "class" else ", or the code that the task ignores"
        raise BadData(
            f"Sample {name(row)} has a target outside the {classes} classes.",
            f"Targets are codes from 0 to classes - 1{hint}.",
        )


def ignored_code(plugins: Plugins, task: ComponentConfig) -> int | None:
    """Ask a recipe's task for the code in masks that it ignores."""
    return with_defaults(plugins.make("task", task.name, task.options), TaskDefaults).ignore


@dataclass(slots=True)
class Resident:
    """A split that lies decoded in memory: inputs each (N, ...), target (N, ...), weights (N,) or None."""

    inputs: tuple[Tensor, ...]
    target: Tensor
    weight: Tensor | None = None

    def __len__(self) -> int:
        return len(self.target)

    def part(self, rows: slice) -> tuple[tuple[Tensor, ...], Tensor, Tensor | None]:
        """Give some of its samples: inputs, target, weights."""
        weight = None if self.weight is None else self.weight[rows]
        return tuple([x[rows] for x in self.inputs]), self.target[rows], weight


def load_resident(samples: Samples) -> Resident:
    """Decode a whole split into memory, a chunk at a time, on a few threads; or take the source's own arrays."""
    if isinstance(samples.split, ArraySplit):
        inputs, target, *more = samples.split.whole()
        check_codes(target, samples.spec, lambda row: samples.split.raw(row).id, samples.ignore)
        given = samples.checked(more, len(samples), lambda row: row)
        tensors = [torch.from_numpy(np.require(x, requirements=["C", "W"])) for x in (*inputs, target)]
        return Resident(tuple(tensors[:-1]), tensors[-1], None if given is None else torch.tensor(given))
    n = len(samples)
    chunks = [range(i, min(n, i + CHUNK)) for i in range(0, n, CHUNK)]
    inputs, target, first = samples.read([0])
    store = [torch.empty((n, *x.shape[1:]), dtype=torch.from_numpy(x).dtype) for x in (*inputs, target)]
    weight = None if first is None else torch.empty(n)

    def fill(chunk: range) -> None:
        arrays, targets, weights = samples.read(list(chunk))
        for out, array in zip(store, (*arrays, targets), strict=True):
            out[chunk.start : chunk.stop] = torch.from_numpy(np.ascontiguousarray(array))
        if (weight is None) is not (weights is None):
            raise BadData("The source's batch() gives weights for some samples only.", "Mend the source.")
        if weight is not None:
            weight[chunk.start : chunk.stop] = torch.from_numpy(weights)

    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        list(pool.map(fill, chunks))
    return Resident(tuple(store[:-1]), store[-1], weight)


def open_source(plugins: Plugins, part: ComponentConfig) -> Source:
    """Make a source and let it fetch what it needs into its cache folder."""
    source: Source = plugins.make("source", part.name, part.options)
    if isinstance(source, DownloadedSource):
        from benchdog.data.download import SourceCache

        source.fetch(SourceCache(part.name))
    return source


def preprocess_of(source: Source, spec: Spec) -> Preprocess:
    """Ask the source for its pre-processing, else let the fields' kinds decide."""
    return source.preprocess(spec) if isinstance(source, PreprocessedSource) else default_preprocess(spec)
