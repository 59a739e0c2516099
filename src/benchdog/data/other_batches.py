"""Batches of other samples next to those of the training loop: unlabeled ones, those of a further source, views."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import torch
from torch import Tensor

from benchdog.api import Batch
from benchdog.data.dataset import DecodedSplit
from benchdog.data.loader import BatchLoader
from benchdog.data.randomness import derive_seed
from benchdog.data.sampler import epoch_order, micro_batches
from benchdog.data.workers import LoadedBatch
from benchdog.errors import BadUsage, nearest

AHEAD = 64
"""Steps whose batches are asked of the workers at a time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Moment:
    """Where a training loop is.

    Attributes:
        step: steps done.
        part: number of the current micro-batch in its batch, from 0.
        last: whether it is the last one.
        ids: positions or ids of its samples.
    """

    step: int = 0
    part: int = 0
    last: bool = True
    ids: Any = ()


class OtherBatches:
    """A step's batch of other samples, for one rank: a function of the seed, the split's name and the step.

    Args:
        feed: the loader of the training split.
        names: the splits that the trainer declares.
        trainer: its name, for messages.
    """

    def __init__(self, feed: BatchLoader, names: Sequence[str], trainer: str) -> None:
        self.feed, self.names, self.trainer = feed, names, trainer
        self._orders: dict[tuple[str, int], Tensor] = {}
        self._running: dict[tuple[str, int], tuple[int, Iterator[LoadedBatch]]] = {}
        self._read: dict[str, tuple[tuple[int, int], Tensor, LoadedBatch]] = {}

    def batch(self, name: str, size: int, view: int, moment: Moment) -> Batch:
        """Return this rank's part of a batch; see `benchdog.api.Session.batch`."""
        if name == "train":
            return self._view(view, moment)
        if name not in self.names:
            raise BadUsage(
                f"Trainer {self.trainer!r} asks for the samples {name!r}, which it doesn't declare.",
                f"It must set unlabeled = True or sources = ({name!r},): see TrainerDefaults in benchdog.api. "
                + nearest(name, ["train", *self.names]),
            )
        key = (moment.step, size)
        if name not in self._read or self._read[name][0] != key:
            self._read[name] = (key, *self._of_step(name, moment.step, size))
        _, positions, loaded = self._read[name]
        rows = slice(None)
        if (count := self.feed.recipe.loop.accumulate) > 1:  # the last micro-batch takes what is left
            parts = torch.arange(len(positions)).tensor_split(count)
            chosen = torch.cat(parts[moment.part :] if moment.last else parts[moment.part : moment.part + 1])
            rows = slice(int(chosen[0]), int(chosen[-1]) + 1) if len(chosen) else slice(0, 0)
        inputs, target, weight = loaded
        part = tuple(x[rows] for x in inputs), target[rows], None if weight is None else weight[rows]
        return self._finished(name, part, positions[rows], view, moment)

    def positions(self, name: str, step: int, size: int) -> Tensor:
        """Return the positions (size,) of a step's whole batch; each pass over the split is shuffled anew."""
        count, at, parts = len(self._split(name)), step * size, []
        while size:
            number, begin = divmod(at, count)
            part = self._order(name, number, count)[begin : begin + size]
            parts.append(part)
            at, size = at + len(part), size - len(part)
        return torch.cat(parts)

    def _order(self, name: str, number: int, count: int) -> Tensor:
        if (name, number) not in self._orders:
            seed = derive_seed(self.feed.seed, crc32(name.encode()), salt=6)
            kept = [key for key in self._orders if key[0] != name or number - key[1] == 1]
            self._orders = {key: self._orders[key] for key in kept}
            self._orders[name, number] = epoch_order(count, seed, number)
        return self._orders[name, number]

    def _split(self, name: str) -> DecodedSplit:
        split = self.feed.data.splits.get(name)
        if not isinstance(split, DecodedSplit):
            raise BadUsage(f"The {name} split is a stream, whose samples have no positions.", "Use another source.")
        return split

    def _of_step(self, name: str, step: int, size: int) -> tuple[Tensor, LoadedBatch]:
        """Read this rank's share of a step's batch, decoded."""
        data = self.feed.data
        if name in data.in_memory:
            positions = self._share(name, step, size)
            return positions, self._gathered(name, positions)
        expected, running = self._running.get((name, size), (-1, iter(())))
        loaded = next(running, None) if expected == step else None
        if loaded is None:
            wanted = [self._share(name, step + ahead, size).tolist() for ahead in range(AHEAD)]
            running = iter(data.workers(name, self.feed.recipe).read(wanted))
            loaded = next(running)
        self._running[name, size] = (step + 1, running)
        return self._share(name, step, size), loaded

    def _share(self, name: str, step: int, size: int) -> Tensor:
        device = self.feed.device
        return micro_batches(self.positions(name, step, size), device.rank, device.world, 1)[0]

    def _gathered(self, name: str, positions: Tensor) -> LoadedBatch:
        data = self.feed.data.in_memory[name]
        index = positions.to(data.target.device)
        weight = None if data.weight is None else data.weight.index_select(0, index)
        return tuple(x.index_select(0, index) for x in data.inputs), data.target.index_select(0, index), weight

    def _view(self, view: int, moment: Moment) -> Batch:
        """Return the samples of the current micro-batch, augmented by other random numbers."""
        split = self._split("train")
        if not len(moment.ids):
            raise BadUsage('session.batch("train") is asked for outside of `for batch in session.batches()`.')
        positions = torch.as_tensor(moment.ids).cpu()
        if "train" in self.feed.data.in_memory:
            return self._finished("train", self._gathered("train", positions), positions, view, moment)
        inputs, target, weight = split.read(positions.tolist())  # the workers are at the loop's batches
        arrays = tuple(map(torch.from_numpy, inputs)), torch.from_numpy(target)
        loaded = (*arrays, None if weight is None else torch.from_numpy(weight))
        return self._finished("train", loaded, positions, view, moment)

    def _finished(self, name: str, loaded: LoadedBatch, positions: Tensor, view: int, moment: Moment) -> Batch:
        """Move a decoded batch to the device, augment, prepare and transform it."""
        feed = self.feed
        put, split = feed.device.put, self._split(name)
        inputs, target = tuple(put(x) for x in loaded[0]), put(loaded[1])
        bare = split.spec.target.kind == "none" and feed.data.spec.target.kind != "none"
        given = self._stand_in(len(target), target.device) if bare else target
        ids = positions + (crc32(f"{name} {view}".encode()) << 31)  # other numbers than the samples of train have
        if feed.augment and len(positions):
            inputs, given = feed.augment(inputs, given, ids, moment.step)
        if feed.prepare and len(positions):
            inputs, given = feed.prepare(inputs, given, ids, moment.step)
        target = target if bare else given
        if name not in feed.data.transformed:
            inputs = feed.transform(*inputs)
        weight = None if loaded[2] is None else put(loaded[2])
        return Batch(inputs, target, positions, moment.last, weight)

    def _stand_in(self, count: int, device: torch.device) -> Tensor:
        """Return targets of the main source's form for what changes them with the inputs; they are dropped."""
        target = self.feed.data.spec.target
        shape = (count, *(axis or 1 for axis in target.shape))
        return torch.zeros(shape, dtype=getattr(torch, target.dtype), device=device)
