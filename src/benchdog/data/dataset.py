"""Map-style datasets: a source's splits as decoded, stacked arrays by position."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

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
    split_of,
)
from benchdog.data import sample_weights
from benchdog.data.collate import Collate, concatenate
from benchdog.data.combined import SPLITS, UNLABELED, CombinedSource, split_names, split_spec
from benchdog.data.content import contents_of
from benchdog.data.decode.decoder import Decoder, default_preprocess
from benchdog.data.targets import no_targets
from benchdog.errors import BadData
from benchdog.plugins import Plugins, returned
from benchdog.recipe.recipe import ComponentConfig

if TYPE_CHECKING:
    from benchdog.data.stream import StreamReader

CHUNK = 512
"""Samples decoded at a time when a whole split is read."""

Arrays = tuple[tuple[np.ndarray, ...], np.ndarray]
WeightedArrays = tuple[tuple[np.ndarray, ...], np.ndarray, sample_weights.Weight]
"""Inputs each (B, ...), target (B, ...), and sample weights (B,) or None."""


class ListSplit:
    """A split over a list of samples."""

    def __init__(self, raws: Sequence[Raw]) -> None:
        self._raws = raws

    def __len__(self) -> int:
        return len(self._raws)

    def raw(self, i: int, /) -> Raw:
        return self._raws[i]


def given_splits(source: Source, seed: int = 0) -> dict[str, Split | Stream]:
    """Open a source's splits by name. A plain list is split by content hash, samples without a target apart.

    Raises:
        BadData: a split has another name, or a stream is unlabeled.
    """
    opened, names = returned.opened(source.open(), source), split_names(source)
    if not isinstance(opened, Mapping):
        parts: dict[str, list[Raw]] = {name: [] for name in SPLITS}
        raws, spec = opened, source.spec()
        for raw, content in zip(raws, contents_of(raws, spec), strict=True):
            bare = raw.target is None and spec.target.kind != "none"
            parts.setdefault(UNLABELED if bare else split_of(content, seed=seed), []).append(raw)
        opened = parts
    splits: dict[str, Split | Stream] = {}
    for name, split in opened.items():
        if name not in names:
            raise BadData(f"The source has a split {name!r}; a split is train, valid, test or unlabeled.")
        listed = isinstance(split, list | tuple)
        splits[name] = ListSplit(returned.samples(split, f"The split {name!r}")) if listed else split
    if isinstance(bare_split := splits.get(UNLABELED), Stream):
        raise BadData(
            "The source's unlabeled split is a stream, which has no positions to shuffle.",
            f"Fix the source: {type(bare_split).__name__} needs len() and raw().",
        )
    if isinstance(bare_split, Split) and not len(bare_split):
        del splits[UNLABELED]
    return splits


def open_splits(source: Source, seed: int = 0) -> dict[str, Split | Stream]:
    """Open a source's splits by name, as `given_splits` does.

    Raises:
        BadData: train or valid is missing or empty, too.
    """
    splits = given_splits(source, seed)
    for name in ("train", "valid"):
        needed = splits.get(name)
        if needed is None or (isinstance(needed, Split) and len(needed) == 0):
            total = sum(len(s) for s in splits.values() if isinstance(s, Split))
            raise BadData(
                f"The source's {name} split has no samples ({total} in all).",
                "Training needs a train and a valid split: provide more data, or change the shares.",
            )
    return splits


def decoded_splits(source: Source, plugins: Plugins | None = None) -> dict[str, DecodedSplit | StreamReader]:
    """Open a source's splits as what decodes their samples, without reading one.

    Args:
        plugins: offer the decode operations; None for Benchdog's own alone.

    Raises:
        BadData: a split is missing, empty, or neither a Split nor a Stream.
    """
    from benchdog.data.stream import StreamReader

    spec = returned.spec(source.spec(), source)
    preprocess = preprocess_of(source, spec)
    splits: dict[str, DecodedSplit | StreamReader] = {}
    for name, split in open_splits(source).items():
        own = split_spec(source, spec, name)
        if isinstance(split, Split):
            splits[name] = DecodedSplit(split, own, preprocess, plugins)
        elif isinstance(split, Stream):
            splits[name] = StreamReader(split, own, preprocess, plugins)
        else:
            raise BadData(f"The source's {name} split has neither len() and raw() nor shards() and read().")
    return splits


class DecodedSplit:
    """A map-style dataset: decodes and stacks samples by position.

    Attributes:
        plugins: offer the decode operations; None for Benchdog's own alone.
        collate: how targets become a batch; the run's task has a say in it.
    """

    def __init__(self, split: Split, spec: Spec, preprocess: Preprocess, plugins: Plugins | None = None) -> None:
        self.split, self.spec, self.preprocess, self.plugins = split, spec, preprocess, plugins
        self.collate = Collate(spec)
        self._fast = split.batch if isinstance(split, BatchSplit) else None

    def __len__(self) -> int:
        return len(self.split)

    @property
    def fast(self) -> bool:
        """Whether the source has a fast path, which needs no raw samples."""
        return self._fast is not None

    @cached_property
    def decoder(self) -> Decoder:
        """The operations that decode a raw sample; checked at the first use, which a fast path never makes."""
        return Decoder(self.spec, self.preprocess, self.plugins)

    @cached_property
    def weighted(self) -> bool:
        """Whether its samples have weights: all do if the first one does."""
        return len(self) > 0 and self.split.raw(0).weight is not None

    @cached_property
    def sample_bytes(self) -> int:
        """Size of the first sample in bytes, decoded."""
        inputs, target = self.batch([0])
        return sum(x.nbytes for x in inputs) + target.nbytes

    def batch(self, indices: Sequence[int]) -> Arrays:
        """Return inputs, each (B, ...) in the spec's order, and target (B, ...)."""
        inputs, target, _ = self.read(indices)
        return inputs, target

    def read(self, indices: Sequence[int]) -> WeightedArrays:
        """Return what `batch` does, and the sample weights (B,) or None.

        Raises:
            BadData: a sample can't be decoded, a target isn't a class, or only some samples have weights.
        """
        if self._fast is not None:
            inputs, target, *more = self._fast(indices)
            if self.spec.target.kind == "none":
                target = no_targets(len(indices), self.spec)
            if isinstance(inputs, tuple) and {len(x) for x in (*inputs, target)} != {len(indices)}:
                raise BadData(
                    "The source's batch() returns another number of rows than asked for.", "Fix the source."
                )
            given = target if isinstance(target, list | tuple) else [target]
            other = next((d for d in (np.asarray(x).dtype for x in given) if d != self.spec.target.dtype), None)
            if other is not None:
                raise BadData(
                    f"The source's batch() returns other targets than the spec says, {other} for "
                    f"{self.spec.target.dtype}.",
                    "Fix the source.",
                )
            weight = self.check_weights(more, len(indices), lambda row: int(indices[row]))
            target = self.collate(target, lambda row: self.split.raw(int(indices[row])).id)
        else:
            inputs, target, weight = self.read_raw(indices)
        return tuple(map(in_plain_order, inputs)), target, weight

    def whole(self) -> tuple[Any, ...]:
        """Return what the `whole` of an `ArraySplit` does, empty targets where the samples have none."""
        assert isinstance(self.split, ArraySplit)
        inputs, target, *more = self.split.whole()
        return inputs, no_targets(len(self), self.spec) if self.spec.target.kind == "none" else target, *more

    def read_raw(self, indices: Sequence[int]) -> WeightedArrays:
        """Read as `read` does, through `raw` instead of the source's fast path."""
        raws = [self.split.raw(int(i)) for i in indices]
        inputs = self.decoder.batch(raws)
        weight = sample_weights.stack_weights(raws)
        if (weight is None) is self.weighted:
            raise BadData(f"Samples {raws[0].id} and {self.split.raw(0).id}: only one of them has a weight.")
        return inputs, self.collate.raws(raws), weight

    def check_weights(self, more: Sequence[Any], count: int, place: Callable[[int], int]) -> sample_weights.Weight:
        """Validate the weights of a fast path, if it returned any; `place` maps a row to its position."""
        if not more or more[0] is None:
            return None
        return sample_weights.check_weights(more[0], count, lambda row: self.split.raw(place(row)).id)

    def ids(self, indices: Sequence[int]) -> list[str]:
        """Return the ids of samples."""
        if isinstance(self.split, IndexedSplit):
            return [self.split.id(int(i)) for i in indices]
        return [self.split.raw(int(i)).id for i in indices]


def in_plain_order(array: np.ndarray) -> np.ndarray:
    """Return an array with the strides of a new one, in C order.

    Those of an axis of length 1 are arbitrary, and torch takes images of one channel with a stride of 1 there for
    channels_last: a convolution's output would have that format too, which view() doesn't accept.
    """
    return np.ascontiguousarray(array).reshape(-1).reshape(array.shape)


@dataclass(slots=True)
class InMemorySplit:
    """A decoded split in memory: inputs each (N, ...), target (N, ...), weights (N,) or None."""

    inputs: tuple[Tensor, ...]
    target: Tensor
    weight: Tensor | None = None

    def __len__(self) -> int:
        return len(self.target)

    def part(self, rows: slice) -> tuple[tuple[Tensor, ...], Tensor, Tensor | None]:
        """Return inputs, target and weights of a slice."""
        weight = None if self.weight is None else self.weight[rows]
        return tuple([x[rows] for x in self.inputs]), self.target[rows], weight


def load_into_memory(samples: DecodedSplit) -> InMemorySplit:
    """Decode a whole split into memory in chunks on up to four threads, or take the source's own arrays (`whole`)."""
    if isinstance(samples.split, ArraySplit):
        inputs, target, *more = samples.whole()
        target = samples.collate(target, lambda row: samples.split.raw(row).id)
        given = samples.check_weights(more, len(samples), lambda row: row)
        arrays = (*map(in_plain_order, inputs), target)
        tensors = [torch.from_numpy(np.require(x, requirements=["C", "W"])) for x in arrays]
        return InMemorySplit(tuple(tensors[:-1]), tensors[-1], None if given is None else torch.tensor(given))
    n = len(samples)
    chunks = [range(i, min(n, i + CHUNK)) for i in range(0, n, CHUNK)]
    inputs, target, first = samples.read([0])
    varies = samples.spec.target.padding is not None
    templates = inputs if varies else (*inputs, target)
    store = [torch.empty((n, *x.shape[1:]), dtype=torch.from_numpy(x).dtype) for x in templates]
    weight = None if first is None else torch.empty(n)

    def fill(chunk: range) -> np.ndarray | None:
        arrays, targets, weights = samples.read(list(chunk))
        for out, array in zip(store, arrays if varies else (*arrays, targets), strict=True):
            out[chunk.start : chunk.stop] = torch.from_numpy(np.ascontiguousarray(array))
        if (weight is None) is not (weights is None):
            raise BadData("The source's batch() returns weights for only some samples.", "Fix the source.")
        if weight is not None:
            weight[chunk.start : chunk.stop] = torch.from_numpy(weights)
        return targets if varies else None

    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        padded = [targets for targets in pool.map(fill, chunks) if targets is not None]
    if varies:
        store.append(torch.from_numpy(concatenate(padded, samples.spec.target)))
    return InMemorySplit(tuple(store[:-1]), store[-1], weight)


def open_data(
    plugins: Plugins, source: ComponentConfig, others: Mapping[str, ComponentConfig], live: Source | None = None
) -> Source:
    """Instantiate a recipe's source, with those of [sources.NAME] if there are any.

    Args:
        plugins: where sources are looked up.
        source: the main one.
        others: the further ones by name.
        live: an object in place of the main one, of a notebook.
    """
    main = live or open_source(plugins, source)
    return CombinedSource(main, {k: open_source(plugins, part) for k, part in others.items()}) if others else main


def open_source(plugins: Plugins, part: ComponentConfig) -> Source:
    """Instantiate a source and let it download what it needs into its cache folder."""
    source: Source = plugins.make("source", part.name, part.options)
    if isinstance(source, DownloadedSource):
        from benchdog.data.download import SourceCache

        with plugins.watched(plugins.find("source", part.name)):
            source.fetch(SourceCache(part.name))
    return source


def preprocess_of(source: Source, spec: Spec) -> Preprocess:
    """Return the source's own preprocess, or the default of its fields' kinds."""
    return source.preprocess(spec) if isinstance(source, PreprocessedSource) else default_preprocess(spec)
