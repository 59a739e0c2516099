"""Leakage between splits: held-out samples that are in the training data too, reported with every metric of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchdog.api import Source, SourceDefaults, with_defaults

WHERE = {"valid": "train: validation", "test": "train or valid: the test"}


def overlap_counts(source: Source) -> dict[str, int]:
    """Return, by split, how many of its samples are also in an earlier split; splits without any are left out."""
    counts = with_defaults(source, SourceDefaults).seen
    return {split: int(count) for split, count in counts.items() if count} if isinstance(counts, Mapping) else {}


def overlap_warnings(counts: Mapping[str, Any], sizes: Mapping[str, int | None]) -> list[str]:
    """Return a warning for each split with such samples."""
    return [
        f"{counts[split]:,} of {sizes.get(split) or 0:,} {split} samples are also in {where} looks better than it is."
        for split, where in WHERE.items()
        if split in counts
    ]
