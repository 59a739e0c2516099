"""Labeled images: a CSV file of paths and classes or labels, and the targets of such images."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from benchdog.api import AMBIGUOUS_NA, BadData, MissingWords, Target, read_table, shortlist
from benchdog.builtin.sources.messages import existing_path
from benchdog.builtin.sources.options import ImageFolderOptions
from benchdog.builtin.sources.table.weights import check_weight_column, drop_zero_weight_rows, weights_of


@dataclass(frozen=True, kw_only=True, slots=True)
class LabeledImage:
    """An image file: its path relative to the folder, its class or labels, its split or ""."""

    path: str
    labels: tuple[str, ...]
    split: str = ""
    weight: float | None = None

    @property
    def label(self) -> str:
        """The class; several labels are joined."""
        return ";".join(self.labels)


def read_labels_file(
    folder: Path, options: ImageFolderOptions, notes: list[str]
) -> tuple[list[LabeledImage], dict[str, list[str]]]:
    """Read a CSV file of paths and labels.

    Args:
        folder: what the paths are relative to.
        options: name the file, its column of weights, the separator between the labels of an image (of which there
            may then be none), and words that mean no label.
        notes: receives notes for the user.

    Returns:
        The images, and the paths of those that are left out, by reason.

    Raises:
        BadData: a column is missing, a file doesn't exist or is listed twice, a label is missing.
    """
    file, weight = existing_path(options.labels, "image-folder", "a CSV file of labels"), options.weight
    separator, words = options.label_separator, MissingWords(options.na_values)
    table = read_table(file)
    notes += table.notes
    check_weight_column(weight, ("path", "label"))
    for column in ("path", "label", *filter(None, [weight])):
        if column not in table.columns:
            raise BadData(
                f"{file} has no column {column!r} but {', '.join(table.columns)}.",
                f"The first line must be: path,label{weight and ','}{weight}",
            )
    listed = table.columns["path"]
    table = drop_zero_weight_rows(table, weight, notes)
    weighted = set(table.columns["path"])
    if not separator:
        table = table.keep([not cell or cell not in words for cell in table.columns["label"]], "without a label")
    rows = list(zip(table.lines, table.columns["path"], table.columns["label"], strict=True))
    missing = [f"{path} (line {line})" for line, path, _ in rows if not (folder / path).is_file()]
    if missing:
        shown = shortlist(missing, 20)
        raise BadData(f"{file} lists files that aren't in {folder}: {shown}.", "Correct the paths.")
    unlabeled = [line for line, _, label in rows if not label]
    if unlabeled and not separator:
        raise BadData(f"{file} has no label in line {shortlist(unlabeled)}.")
    duplicates = [path for path, n in Counter(path for _, path, _ in rows).items() if n > 1]
    if duplicates:
        raise BadData(f"{file} lists files more than once: {shortlist(duplicates)}.")
    weights = weights_of(table, weight)
    counts = [None] * len(rows) if weights is None else weights.tolist()
    images = [
        LabeledImage(path=PurePosixPath(path).as_posix(), labels=_split_labels(label, separator, words), weight=count)
        for (_, path, label), count in zip(rows, counts, strict=True)
    ]
    unsure = sorted({label for image in images for label in image.labels if label in AMBIGUOUS_NA})
    if unsure:
        option = json.dumps(unsure, ensure_ascii=False)
        notes.append(
            f"{file.name}: {', '.join(map(repr, unsure))} is a class; if it means that there is none: "
            f"--set 'source.na_values={option}'"
        )
    kept = {path for _, path, _ in rows}
    return images, {
        "of weight 0": [path for path in listed if path not in weighted],
        "without a label": [path for path in listed if path in weighted - kept],
    }


def _split_labels(cell: str, separator: str, words: MissingWords) -> tuple[str, ...]:
    """Return the distinct labels of a cell, but for words that mean none."""
    if not separator:
        return (cell,)
    return tuple(dict.fromkeys(part.strip() for part in cell.split(separator) if part.strip() not in words))


def rarest_labels(images: Sequence[LabeledImage]) -> list[str]:
    """Return the rarest label of each image, "" for none: stratifying by it leaves few labels out of a split."""
    counts = Counter(label for image in images for label in image.labels)
    return [min(image.labels, key=lambda label: (counts[label], label), default="") for image in images]


def target_of(classes: tuple[str, ...], several: bool) -> Target:
    """Return the target of a class, or of several labels."""
    if several:
        return Target(kind="labels", name="labels", classes=classes, shape=(len(classes),), dtype="float32")
    return Target(kind="class", name="class", classes=classes)


def targets_of(images: Sequence[LabeledImage], target: Target) -> np.ndarray[Any, np.dtype[Any]]:
    """Return class indices (N,) int64, or multi-hot labels (N, labels) float32."""
    codes = {label: code for code, label in enumerate(target.classes)}
    if target.kind == "class":
        return np.array([codes[image.label] for image in images], np.int64)
    rows = np.zeros((len(images), len(codes)), np.float32)
    for row, image in zip(rows, images, strict=True):
        row[[codes[label] for label in image.labels]] = 1
    return rows
