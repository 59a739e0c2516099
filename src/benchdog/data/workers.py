"""DataLoader workers: processes that prefetch and decode; each reopens the source from the recipe."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from multiprocessing import util
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from benchdog.data.collate import collate_of
from benchdog.data.dataset import DecodedSplit, decoded_splits, open_data
from benchdog.data.worker_processes import Fault, NoSharedMemory, WorkerContext, reported
from benchdog.plugins import Plugins
from benchdog.recipe.recipe import Recipe
from benchdog.system import terminal

RUN_LAST = -100
"""Priority of the finalizer that a worker runs last."""
GRACE = 10.0
"""Seconds that a worker stays alive after SIGTERM, so that the training loop can finish its step."""

LoadedBatch = tuple[tuple[Tensor, ...], Tensor, Tensor | None]
"""Inputs (each (B, ...)), target (B, ...), and weights (B,) or None."""


class WorkerDataset(Dataset[Any]):
    """A map-style dataset over lists of positions, pickled as its recipe: each worker reopens the source."""

    def __init__(self, recipe: dict[str, Any], split: str, live: DecodedSplit | None = None) -> None:
        self.recipe, self.name = recipe, split
        self._samples = live

    def __getstate__(self) -> dict[str, Any]:
        return {"recipe": self.recipe, "name": self.name, "_samples": None}

    def samples(self) -> DecodedSplit:
        """Return the split, opened once per process."""
        if self._samples is None:
            self._samples = reopen_splits(self.recipe)[self.name]
        return self._samples

    def __getitem__(self, indices: list[int]) -> LoadedBatch | Fault:
        return reported(self._read, indices)

    def _read(self, indices: list[int]) -> LoadedBatch:
        inputs, target, weight = self.samples().read(indices)
        tensors = tuple(torch.from_numpy(np.ascontiguousarray(x)) for x in inputs)
        return tensors, torch.from_numpy(target), None if weight is None else torch.from_numpy(weight)


def reopen_splits(recipe: dict[str, Any]) -> dict[str, DecodedSplit]:
    """Open the map-style splits of a resolved recipe."""
    resolved = Recipe.from_json(recipe)
    plugins = Plugins.discover(resolved.plugins)
    splits = decoded_splits(open_data(plugins, resolved.source, resolved.sources), plugins)
    decoded = {name: split for name, split in splits.items() if isinstance(split, DecodedSplit)}
    for samples in decoded.values():
        samples.collate = collate_of(plugins, resolved.task, samples.spec)
    return decoded


class _BatchSampler:
    """A batch sampler whose batches are replaced each epoch while the workers persist."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)


def init_worker(_: int) -> None:
    """Make a worker survive signals to the process group until the training loop ends; it never outlives the loop.

    The loop itself handles SIGINT and SIGTERM after its step, and still needs batches until then.
    """

    def leave_later(*_: Any) -> None:
        timer = threading.Timer(GRACE, os._exit, (0,))
        timer.daemon = True
        timer.start()

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, leave_later)
    util.Finalize(None, exit_quietly, exitpriority=RUN_LAST)
    threading.Thread(target=exit_with_parent, daemon=True).start()


def exit_quietly() -> None:
    """Exit without interpreter shutdown unless an error is raised: tearing down torch's threads can abort."""
    if sys.exc_info()[0] is None:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(0)


def exit_with_parent() -> None:
    """Exit when the parent does: after a SIGKILL of it a full queue would block the worker forever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


class Workers:
    """A DataLoader with persistent workers that reads decoded batches at given positions."""

    def __init__(self, dataset: WorkerDataset, workers: int, pin: bool) -> None:
        self._dataset, self._pin, self._positions = dataset, pin, _BatchSampler()
        self._context = WorkerContext() if workers else None
        self._loader = self._made(workers)

    def _made(self, workers: int) -> DataLoader[Any]:
        return DataLoader(
            self._dataset,
            batch_size=None,
            sampler=self._positions,
            num_workers=workers,
            multiprocessing_context=self._context,
            persistent_workers=workers > 0,
            worker_init_fn=init_worker,
            pin_memory=self._pin,
        )

    def read(self, batches: list[list[int]]) -> Iterator[LoadedBatch]:
        """Yield inputs, target and weights for each list of positions, in order.

        Raises:
            Interrupted: a signal arrived, and no batch.
            Failed: a worker died, or can't be started.
        """
        self._positions.batches = batches
        if self._context is None:
            yield from self._loader
            return
        try:
            batches_read = self._context.started(self._loader)
        except NoSharedMemory as error:
            self._context = None
            self._loader = self._made(0)
            terminal.note(f"{error.message} This process reads the samples itself, which is slower. {error.hint}")
            yield from self._loader
            return
        yield from self._context.received(batches_read)
