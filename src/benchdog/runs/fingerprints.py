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
        check(folder, data.in_memory)
        return
    tree: dict[str, Any] = {}
    for name, split in data.in_memory.items():
        inputs = torch.stack([sample_fingerprints(x.numpy()) for x in split.inputs], 1)  # (N, fields)
        tree[name] = {"inputs": inputs, "target": sample_fingerprints(split.target.numpy())}
        if split.weight is not None:
            tree[name]["weight"] = sample_fingerprints(split.weight.numpy())
    state.write(path, tree)


def check(folder: Path, splits: Mapping[str, InMemorySplit]) -> None:
    """Check that each sample is what it was, as far as the run kept fingerprints.

    Raises:
        BadData: one isn't.
    """
    for name, was in read(folder).items():
        if name not in splits:
            continue
        now = {
            "inputs": torch.stack([sample_fingerprints(x.numpy()) for x in splits[name].inputs], 1),
            "target": sample_fingerprints(splits[name].target.numpy()),
        }
        if any(was[part].shape != now[part].shape for part in now):
            changed = "Samples"
        elif count := int(((was["inputs"] != now["inputs"]).any(1) | (was["target"] != now["target"])).sum()):
            changed = f"{count:,} of {len(now['target']):,} samples"
        else:
            continue
        raise BadData(
            f"{changed} of the {name} split have changed since the training began.",
            "Bring the old data back, or train again.",
        )


def read(folder: Path) -> dict[str, Any]:
    """Read a run's fingerprints; none when its data didn't fit into memory."""
    path = folder / FILE
    return dict(state.read(path)) if path.is_file() else {}
