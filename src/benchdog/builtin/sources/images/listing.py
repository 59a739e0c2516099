"""Images that a CSV file lists with their classes, or with several labels each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from benchdog.api import BadData, Target
from benchdog.builtin.sources.messages import existing_path, shortened
from benchdog.builtin.sources.table.reader import read
from benchdog.builtin.sources.table.weights import check_weight_column, drop_zero_weight_rows, weights_of


@dataclass(frozen=True, kw_only=True, slots=True)
class LabeledImage:
    """A file: its path relative to the folder, its class or labels, the split that a folder gives it or ""."""

    path: str
    labels: tuple[str, ...]
    split: str = ""
    weight: float | None = None

    @property
    def label(self) -> str:
        """The class; several labels as one text."""
        return ";".join(self.labels)


def read_labels_file(
    labels: Path | None, folder: Path, separator: str, weight: str, notes: list[str]
) -> list[LabeledImage]:
    """Read the CSV of paths and labels; every listed file must be there.

    Args:
        separator: parts the labels of an image, of which there may then be none; "" for one class each.
        weight: the column with what each image counts; "" for none. Images of weight 0 are left out.
        notes: what a person is told.
    """
    file = existing_path(labels, "image-folder", "a CSV file of labels")
    table = read(file)
    check_weight_column(weight, ("path", "label"))
    for column in ("path", "label", *filter(None, [weight])):
        if column not in table.columns:
            raise BadData(
                f"{file} has no column {column!r} but {', '.join(table.columns)}.",
                f"Its first line must be: path,label{weight and ','}{weight}",
            )
    table = drop_zero_weight_rows(table, weight, notes)
    rows = list(zip(table.lines, table.columns["path"], table.columns["label"], strict=True))
    missing = [f"{path} (line {line})" for line, path, _ in rows if not (folder / path).is_file()]
    if missing:
        shown = shortened(missing, len(missing), 20)
        raise BadData(f"{file} lists files that aren't in {folder}: {shown}.", "Correct the paths.")
    unlabelled = [line for line, _, label in rows if not label]
    if unlabelled and not separator:
        raise BadData(f"{file} has no label in line {shortened(unlabelled, len(unlabelled))}.")
    twice = [path for path, n in Counter(path for _, path, _ in rows).items() if n > 1]
    if twice:
        raise BadData(f"{file} lists files more than once: {shortened(twice, len(twice))}.")
    weights = weights_of(table, weight)
    counts = [None] * len(rows) if weights is None else weights.tolist()
    return [
        LabeledImage(path=PurePosixPath(path).as_posix(), labels=_split_labels(label, separator), weight=count)
        for (_, path, label), count in zip(rows, counts, strict=True)
    ]


def _split_labels(cell: str, separator: str) -> tuple[str, ...]:
    """Give the labels of a cell, each once."""
    if not separator:
        return (cell,)
    return tuple(dict.fromkeys(part.strip() for part in cell.split(separator) if part.strip()))


def rarest_labels(pictures: Sequence[LabeledImage]) -> list[str]:
    """Give the rarest label of each, "" for none: a division by it leaves few labels out of a split."""
    counts = Counter(label for picture in pictures for label in picture.labels)
    return [min(picture.labels, key=lambda label: (counts[label], label), default="") for picture in pictures]


def target_of(classes: tuple[str, ...], several: bool) -> Target:
    """Describe a class, or several labels."""
    if several:
        return Target(kind="labels", name="labels", classes=classes, shape=(len(classes),), dtype="float32")
    return Target(kind="class", name="class", classes=classes)


def targets_of(pictures: Sequence[LabeledImage], target: Target) -> np.ndarray[Any, np.dtype[Any]]:
    """Give codes (N,) int64, or rows (N, labels) float32 of 0 and 1."""
    codes = {label: code for code, label in enumerate(target.classes)}
    if target.kind == "class":
        return np.array([codes[picture.label] for picture in pictures], np.int64)
    rows = np.zeros((len(pictures), len(codes)), np.float32)
    for row, picture in zip(rows, pictures, strict=True):
        row[[codes[label] for label in picture.labels]] = 1
    return rows
