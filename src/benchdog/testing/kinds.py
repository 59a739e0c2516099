"""Samples of each kind of input and target: made up, and those of the sources that a plugin offers itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import chdir, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from benchdog.api import Column, Field, Preprocess, Spec, Target, TaskInfo
from benchdog.data.decode import decoder
from benchdog.errors import BenchdogError
from benchdog.model.export_view import generated
from benchdog.plugins import Plugins
from benchdog.testing.comparing import raws
from benchdog.testing.results import Fault, Skip

if TYPE_CHECKING:
    from benchdog.testing.trials import Trial

ROWS = 6
"""Samples of each kind."""
SOURCES = 2
"""Sources of a plugin that its other parts are tried with."""
CLASSES = ("one", "two", "three")


@dataclass(frozen=True, slots=True)
class Kind:
    """Some decoded samples: inputs each (ROWS, ...), target (ROWS, ...)."""

    what: str
    spec: Spec
    preprocess: Preprocess
    inputs: tuple[Tensor, ...]
    target: Tensor


def kinds(trial: Trial) -> Iterator[Kind]:
    """Give samples of each kind; at last those of the plugin's own sources, which its other parts may be made for."""
    for what, spec in specs().items():
        inputs = tuple(map(torch.from_numpy, generated(spec, ROWS, seed=5)))
        yield Kind(what, spec, decoder.default(spec), inputs, targets(spec, ROWS, 13))
    key = (trial.found.plugin, trial.found.dist)
    if key not in trial.bench.samples:
        trial.bench.samples[key] = list(own(trial)) if trial.found.dist != "benchdog" else []
    yield from trial.bench.samples[key]


def own(trial: Trial) -> Iterator[Kind]:
    """Give samples of the first sources that the same plugin offers and that have no fault."""
    from benchdog.testing import sources

    count = 0
    for found in trial.plugins.all("source").values():
        if (found.plugin, found.dist) != (trial.found.plugin, trial.found.dist) or count == SOURCES:
            continue
        source = sources.Trial(trial.plugins, found, {}, trial.bench)
        try:
            with chdir(trial.bench.folder("own")), redirect_stdout(StringIO()):
                sources.spec(source)
                given = raws(source.opened.splits["train"], ROWS)
            opened = source.opened
            arrays = decoder.stack([decoder.decode(raw, opened.spec, opened.preprocess) for raw in given])
            target = np.stack([np.asarray(raw.target, np.dtype(opened.spec.target.dtype)) for raw in given])
        except (Fault, Skip, BenchdogError, TypeError, ValueError):
            continue  # the source's own checks tell it
        if len(target) == ROWS:
            count += 1
            inputs = tuple(map(torch.from_numpy, arrays))
            what = f"samples of {found.info.name}"
            yield Kind(what, opened.spec, opened.preprocess, inputs, torch.from_numpy(target))


def refused(told: list[str]) -> str:
    """Say why a component takes none of the kit's data, in its own words; sentences that begin alike once."""
    short = {text[:40]: text for text in reversed(told)}
    return f"refuses all of the kit's data: {' '.join(reversed(list(short.values())[-3:]))}"


def task_for(kind: str, plugins: Plugins) -> str:
    """Name a task that answers such targets; "" when there is none."""
    for name, found in plugins.all("task").items():
        if isinstance(found.info, TaskInfo) and kind in found.info.targets:
            return name
    return ""


def specs() -> dict[str, Spec]:
    """Give a spec for each kind of input, with a target that suits it."""
    label = Target(kind="class", classes=CLASSES)
    picture = Field(kind="image", shape=(3, 32, 32), dtype="uint8", range=(0, 255))
    volume = Field(kind="volume", shape=(1, 16, 16, 16), dtype="int16", range=(-100, 100))
    colour = Column(name="colour", kind="category", categories=("red", "blue"))
    columns = (Column(name="length"), Column(name="width"), colour)
    tokens = Field(kind="tokens", shape=(12,), dtype="int64", range=(0, 8))
    letters = tuple("abcdefgh ")
    return {
        "images with a class": Spec(fields=(picture,), target=label),
        "images with a mask": Spec(
            fields=(picture,), target=Target(kind="mask", classes=CLASSES, shape=(32, 32), dtype="int64")
        ),
        "tables with a class": Spec(
            fields=(Field(kind="table", shape=(3,), dtype="float32", columns=columns),), target=label
        ),
        "tables with a number": Spec(
            fields=(Field(kind="table", shape=(3,), dtype="float32", columns=columns),),
            target=Target(kind="number", dtype="float32"),
        ),
        "images with labels": Spec(
            fields=(picture,), target=Target(kind="labels", classes=CLASSES, shape=(3,), dtype="float32")
        ),
        "volumes with a class": Spec(fields=(volume,), target=label),
        "volumes with a mask": Spec(
            fields=(volume,), target=Target(kind="mask", classes=CLASSES, shape=(16, 16, 16), dtype="int64")
        ),
        "texts with a class": Spec(fields=(tokens,), target=label),
        "texts in word pieces": Spec(
            fields=(Field(kind="tokens", shape=(12,), dtype="int64", range=(0, 30_521)),), target=label
        ),
        "texts to go on with": Spec(
            fields=(tokens,), target=Target(kind="next-token", classes=letters, shape=(12,), dtype="int64")
        ),
        "sounds with a class": Spec(
            fields=(Field(kind="audio", shape=(1, 64), dtype="float32", range=(-1, 1)),), target=label
        ),
    }  # fmt: skip


def targets(spec: Spec, n: int, seed: int = 0) -> Tensor:
    """Draw targets (n, ...) of a spec: codes, labels or numbers."""
    draws, target = torch.Generator().manual_seed(seed), spec.target
    shape = (n, *(axis or 8 for axis in target.shape))
    if target.kind == "number":
        return torch.randn(shape, generator=draws) * 3 + 7
    if target.kind == "labels":
        return (torch.rand(shape, generator=draws) < 0.5).float()
    return torch.randint(0, max(1, spec.classes), shape, generator=draws)
