"""Samples side by side, and the global random generators before and after."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
import torch

from benchdog.api import Raw, Split

LOOKED_AT = 12
"""Samples of a split that are looked at."""


def positions(split: Split, count: int = LOOKED_AT) -> list[int]:
    """Return some positions of a split, first and last among them."""
    size = len(split)
    return sorted({round(i * (size - 1) / max(1, count - 1)) for i in range(min(count, size))})


def raws(split: Any, count: int = LOOKED_AT) -> list[Raw]:
    """Return some samples of a split, those at `positions`; of a stream the first."""
    if isinstance(split, Split):
        return [split.raw(i) for i in positions(split, count)]
    found: list[Raw] = []
    for shard in split.shards():
        found += islice(split.read(shard, 0), count - len(found))
        if len(found) >= count:
            break
    return found


def same(a: Any, b: Any) -> bool:
    """Return whether two raw values are equal, bit for bit."""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        x, y = np.asarray(a), np.asarray(b)
        return x.dtype == y.dtype and x.shape == y.shape and x.tobytes() == y.tobytes()
    if isinstance(a, float) and isinstance(b, float) and a != a and b != b:
        return True
    return bool(a == b)


def differing(a: Sequence[Raw], b: Sequence[Raw]) -> str:
    """Name the first thing in which two lists of samples differ; "" when they don't."""
    if len(a) != len(b):
        return f"{len(a)} samples and {len(b)}"
    for one, other in zip(a, b, strict=True):
        if one.id != other.id:
            return f"the samples {one.id!r} and {other.id!r}"
        if not same(one.fields, other.fields):
            names = [name for name in one.fields if not same(one.fields[name], other.fields.get(name))]
            return f"field {names[0] if names else '?'!r} of sample {one.id!r}"
        if not same(one.target, other.target) or not same(one.weight, other.weight):
            return f"the target or weight of sample {one.id!r}"
    return ""


def states() -> tuple[Any, ...]:
    """Return the states of the global random generators."""
    return random.getstate(), np.random.get_state()[1].tobytes(), torch.get_rng_state().numpy().tobytes()  # type: ignore[index]


def shaken(seed: int) -> None:
    """Seed the global random generators."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
