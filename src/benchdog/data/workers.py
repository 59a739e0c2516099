"""Processes that read and decode ahead of the loop; each opens the source for itself, from the recipe."""

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

from benchdog.api import Split
from benchdog.data.dataset import Samples, ignored_code, open_source, open_splits, preprocess_of
from benchdog.plugins import Plugins
from benchdog.recipe.recipe import Recipe

LAST = -100
"""The priority of what a worker does after all else."""
GRACE = 10.0
"""Seconds that a worker stays after SIGTERM, for the loop to finish its step."""

Loaded = tuple[tuple[Tensor, ...], Tensor, Tensor | None]
"""Inputs, target, weights or None."""


class Rebuilt(Dataset[Any]):
    """A split that every worker process opens for itself from the recipe: nothing live is pickled."""

    def __init__(self, recipe: dict[str, Any], split: str, live: Samples | None = None) -> None:
        self.recipe, self.name = recipe, split
        self._samples = live

    def __getstate__(self) -> dict[str, Any]:
        return {"recipe": self.recipe, "name": self.name, "_samples": None}

    def samples(self) -> Samples:
        """Open the split once in this process."""
        if self._samples is None:
            self._samples = reopen(self.recipe)[self.name]
        return self._samples

    def __getitem__(self, indices: list[int]) -> Loaded:
        inputs, target, weight = self.samples().read(indices)
        tensors = tuple(torch.from_numpy(np.ascontiguousarray(x)) for x in inputs)
        return tensors, torch.from_numpy(target), None if weight is None else torch.from_numpy(weight)


def reopen(recipe: dict[str, Any]) -> dict[str, Samples]:
    """Open the positional splits of a resolved recipe."""
    resolved = Recipe.from_json(recipe)
    plugins = Plugins.discover(resolved.plugins)
    source = open_source(plugins, resolved.source)
    spec = source.spec()
    splits = open_splits(source)
    preprocess = preprocess_of(source, spec)
    found = {name: Samples(split, spec, preprocess) for name, split in splits.items() if isinstance(split, Split)}
    for samples in found.values():
        samples.ignore = ignored_code(plugins, resolved.task)
    return found


class _Positions:
    """What a loader is to read, changed from epoch to epoch while its workers live."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)


def calm(_: int) -> None:
    """Let a worker outlive a signal to the whole group, which the loop obeys after its step, but not the loop."""

    def leave_later(*_: Any) -> None:
        timer = threading.Timer(GRACE, os._exit, (0,))
        timer.daemon = True
        timer.start()

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, leave_later)
    util.Finalize(None, leave, exitpriority=LAST)
    threading.Thread(target=follow, daemon=True).start()


def leave() -> None:
    """End at once, if not by an error: Python would take this process's threads apart, and can abort over that."""
    if sys.exc_info()[0] is None:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(0)


def follow() -> None:
    """End with the parent: one that was killed can't say so, and a full queue would hold its worker for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


class Workers:
    """Batches of decoded samples at given positions, read ahead by worker processes."""

    def __init__(self, dataset: Rebuilt, workers: int, pin: bool) -> None:
        self._positions = _Positions()
        # Spawned: a fork would copy the locks of torch's running threads, and no system offers spawn alone.
        context = os.environ.get("BENCHDOG_START", "spawn") if workers else None
        self._loader: DataLoader[Any] = DataLoader(
            dataset,
            batch_size=None,
            sampler=self._positions,
            num_workers=workers,
            multiprocessing_context=context,
            persistent_workers=workers > 0,
            worker_init_fn=calm,
            pin_memory=pin,
        )

    def read(self, batches: list[list[int]]) -> Iterator[Loaded]:
        """Yield (inputs, target, weight) for each list of positions, in order."""
        self._positions.batches = batches
        yield from self._loader
