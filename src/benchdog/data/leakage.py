"""Samples that are held out and yet were seen in training: told wherever figures of theirs are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchdog.api import Source, SourceDefaults, with_defaults

WHERE = {"valid": "train: validation", "test": "train or valid: the test"}


def overlap_counts(source: Source) -> dict[str, int]:
    """Give, by split, how many of its samples a source has found in those before it too; only splits with some."""
    counts = with_defaults(source, SourceDefaults).seen
    return {split: int(count) for split, count in counts.items() if count} if isinstance(counts, Mapping) else {}


def overlap_warnings(counts: Mapping[str, Any], sizes: Mapping[str, int | None]) -> list[str]:
    """Say it for people."""
    return [
        f"{counts[split]:,} of {sizes.get(split) or 0:,} {split} samples are also in {where} looks better than it is."
        for split, where in WHERE.items()
        if split in counts
    ]
