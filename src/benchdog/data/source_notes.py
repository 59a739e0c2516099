"""Notes on the data of an opened source: leakage between splits, what was skipped, the source's own sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchdog.api import SampleCounts, Source, SourceDefaults, with_defaults
from benchdog.data import leakage


def notes_of(source: Source, sizes: Mapping[str, int | None]) -> list[str]:
    """Return the notes for the user on a source's data, given the number of samples by split."""
    read = sample_counts(source)
    return [
        *leakage.overlap_warnings(leakage.overlap_counts(source), sizes),
        *([f"Read {summary(read)}."] if read and read["skipped"] else []),
        *with_defaults(source, SourceDefaults).notes,
    ]


def sample_counts(source: Source) -> dict[str, Any] | None:
    """Return the items that a source found, used and skipped, in JSON's types; None where it doesn't count them.

    What the source neither used nor gave a reason for is skipped "for no reason given", so that the sum is right.
    """
    counts = with_defaults(source, SourceDefaults).counts
    if not isinstance(counts, SampleCounts):
        return None
    skipped = {reason: int(count) for reason, count in counts.skipped.items() if count}
    if rest := counts.found - counts.used - sum(skipped.values()):
        skipped["for no reason given"] = int(rest)
    return {"unit": counts.unit, "found": int(counts.found), "used": int(counts.used), "skipped": skipped}


def summary(read: Mapping[str, Any]) -> str:
    """Describe the counts of a source in a phrase: "12 of 17 files: 3 not images, 2 hidden"."""
    found, unit = f"{read['found']:,}", read["unit"]
    if not read["skipped"]:
        return f"{found} {unit}"
    return f"{read['used']:,} of {found} {unit}: " + ", ".join(
        f"{count:,} {reason}" for reason, count in read["skipped"].items()
    )
