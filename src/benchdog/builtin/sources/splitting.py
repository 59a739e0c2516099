"""Splitting samples into train, valid and test by content."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from benchdog.api import BadUsage, split_of

SPLITS = ("train", "valid", "test")


def split_by_content(
    contents: Sequence[bytes], labels: Sequence[Any], *, valid: float, test: float, seed: int
) -> dict[str, np.ndarray[Any, np.dtype[np.int64]]]:
    """Return the positions of each split: duplicates stay together, and each label is in every split.

    A content's split is that of `split_of`, so that new samples don't move old ones. Where a split would lack a
    label, the label's content with the smallest hash is moved there. A label with fewer contents than splits is in
    train first.

    Raises:
        BadUsage: the shares leave no training data.
    """
    if valid + test >= 1:
        raise BadUsage(f"valid = {valid} and test = {test} leave no training data.", "Use smaller fractions.")
    place = {content: split_of(content, valid=valid, test=test, seed=seed) for content in dict.fromkeys(contents)}
    of_label: dict[Any, set[bytes]] = {}
    for content, label in zip(contents, labels, strict=True):
        of_label.setdefault(label, set()).add(content)
    wanted = [split for split, share in zip(SPLITS, (1, valid, test), strict=True) if share]
    for label in sorted(of_label):
        _cover_splits(place, of_label[label], wanted)
    names = np.array([place[content] for content in contents])
    return {split: np.flatnonzero(names == split) for split in SPLITS}


def split_with_given(
    contents: Sequence[bytes], labels: Sequence[Any], given: Sequence[str], *, valid: float, test: float, seed: int
) -> dict[str, np.ndarray[Any, np.dtype[np.int64]]]:
    """Return the positions of each split where samples may come with theirs.

    Args:
        contents: as for `split_by_content`.
        labels: as for `split_by_content`.
        given: the split of each sample, or "". Those of train are split further where valid or test isn't given.
        valid: share of the validation split, where it isn't given.
        test: share of the test split, where it isn't given.
        seed: of the split.
    """
    there = set(given) - {""}
    free = [i for i, split in enumerate(given) if split in ("", "train")]
    shares = {"valid": 0.0 if "valid" in there else valid, "test": 0.0 if "test" in there else test}
    places = split_by_content([contents[i] for i in free], [labels[i] for i in free], **shares, seed=seed)
    parts = {split: np.array(free, np.int64)[at] for split, at in places.items()}
    return parts | {split: np.flatnonzero(np.array(given) == split) for split in there - {"train"}}


def count_overlap(contents: Any, parts: Mapping[str, Iterable[Any]]) -> dict[str, int]:
    """Count leaked samples: those of valid that are also in train, those of test that are also in train or valid.

    Args:
        contents: what identifies a sample, by index or key.
        parts: the indices or keys of each split.

    Returns:
        Counts by split; splits without any are left out.
    """
    known: set[Any] = set()
    counts = {}
    for split in SPLITS:
        own = [contents[i] for i in parts[split]]
        counts[split] = sum(content in known for content in own)
        known.update(own)
    return {split: count for split, count in counts.items() if count}


def _cover_splits(place: dict[bytes, str], contents: set[bytes], wanted: Sequence[str]) -> None:
    """Move contents of one label until each split in `wanted` has one, in that order."""
    count = Counter(place[content] for content in contents)
    if all(count[split] for split in wanted):
        return
    order = sorted(contents, key=lambda content: hashlib.blake2b(content, digest_size=8).digest())
    for split in wanted[: len(contents)]:
        if count[split]:
            continue
        donor = max(reversed(wanted), key=lambda name: count[name])
        moved = next(content for content in order if place[content] == donor)
        place[moved] = split
        count[donor] -= 1
        count[split] += 1
