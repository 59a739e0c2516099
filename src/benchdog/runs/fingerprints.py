"""Fingerprints of the decoded samples, stored with the run, by which a changed label is found later."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchdog.data.dataset import InMemorySplit
from benchdog.data.splits import DataSplits
from benchdog.errors import BadData
from benchdog.runs import state

FILE = "samples.safetensors"
SHOWN = 3
"""Changed samples that are named."""


def sample_fingerprints(array: np.ndarray) -> torch.Tensor:
    """Return 64 bits for each row of (N, ...)."""
    rows = np.ascontiguousarray(array).reshape(len(array), -1).view(np.uint8)
    made = b"".join(hashlib.blake2b(row, digest_size=8).digest() for row in rows)  # type: ignore[arg-type]
    return torch.frombuffer(bytearray(made), dtype=torch.int64) if made else torch.zeros(0, dtype=torch.int64)


def keep(folder: Path, data: DataSplits) -> None:
    """Write the fingerprints of the splits that are in memory, before anything is moved or transformed.

    Raises:
        BadData: the run has some, of other samples.
    """
    path = folder / FILE
    if not data.in_memory or data.on_device:
        return
    if path.is_file():
        check(folder, data.in_memory, data)
        return
    state.write(path, {name: _fingerprints(split) for name, split in data.in_memory.items()})


def _fingerprints(split: InMemorySplit) -> dict[str, torch.Tensor]:
    """Return those of the inputs (N, fields), of the target (N,), and of the weights (N,) if there are any."""
    inputs = torch.stack([sample_fingerprints(x.numpy()) for x in split.inputs], 1)
    found = {"inputs": inputs, "target": sample_fingerprints(split.target.numpy())}
    return found if split.weight is None else {**found, "weight": sample_fingerprints(split.weight.numpy())}


def check(folder: Path, splits: Mapping[str, InMemorySplit], data: DataSplits) -> None:
    """Check that each sample is what it was, as far as the run kept fingerprints.

    Args:
        folder: the run's.
        splits: decoded splits by name.
        data: names their samples.

    Raises:
        BadData: one isn't; the message names the first.
    """
    for name, was in read(folder).items():
        if name not in splits:
            continue
        now = _fingerprints(splits[name])
        changed, places = "Samples", ""
        if all(part in now and was[part].shape == now[part].shape for part in was):
            differing = {part: (was[part] != now[part]).reshape(len(now[part]), -1).any(1) for part in was}
            rows = torch.stack(list(differing.values())).any(0).nonzero().flatten().tolist()
            if not rows:
                continue
            changed = f"{len(rows):,} of {len(now['target']):,} samples"
            part = next(part for part, marks in differing.items() if bool(marks[rows[0]]))
            ids = data.splits[name].ids(rows[:SHOWN])  # type: ignore[union-attr]
            places = f" ({part} of {', '.join(ids)}{' ...' if len(rows) > SHOWN else ''})"
        raise BadData(
            f"{changed} of the {name} split have changed since the training began{places}.",
            "Bring the old data back, or train again.",
        )


def read(folder: Path) -> dict[str, Any]:
    """Read a run's fingerprints; none when its data didn't fit into memory."""
    path = folder / FILE
    return dict(state.read(path)) if path.is_file() else {}
