"""Loading texts: a file, a folder, a folder per class, a column of a CSV file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchdog.api import (
    BadData,
    BadUsage,
    FolderFiles,
    MissingWords,
    SampleCounts,
    class_names,
    class_spellings,
    find_files,
    natural_key,
    read_table,
    read_text,
    shortlist,
    spelling_notes,
)
from benchdog.builtin.sources.layout import read_layout, refuse_loose, split_names
from benchdog.builtin.sources.messages import existing_path, skipped_notes, suggest
from benchdog.builtin.sources.options import TextOptions
from benchdog.builtin.sources.table.targets import counted, read_target, with_targets
from benchdog.builtin.sources.table.weights import Weights, check_weight_column, drop_zero_weight_rows, weights_of

TABLES = (".csv", ".tsv")
TEXTS = (".txt",)


@dataclass(frozen=True, kw_only=True, slots=True)
class Texts:
    """Texts and their ids; labels are class indices, numbers, or None. `field` is the column.

    Texts with labels are stripped. `literal`: quotation marks of the table were read as text.
    `splits`: of the texts, where folders define them. `counts`: of the files or rows. `bare`: ids and texts of the
    rows without a label.
    """

    texts: Sequence[str]
    ids: Sequence[str]
    labels: np.ndarray[Any, np.dtype[Any]] | None = None
    classes: tuple[str, ...] = ()
    field: str = "input"
    target: str = "class"
    weights: Weights | None = None
    literal: bool = False
    splits: Sequence[str] = ()
    counts: SampleCounts | None = None
    bare: Sequence[tuple[str, str]] = ()


def load_texts(options: TextOptions, notes: list[str]) -> Texts:
    """Read the texts that the options name; add notes for the user.

    Raises:
        BadUsage: no path, or an option that doesn't fit what is there.
        BadData: nothing there, a file that isn't UTF-8, a text or label that is missing.
    """
    path = existing_path(options.path, "text", "a text file, a folder of them, or a CSV file")
    if path.is_file() and path.suffix.lower() in TABLES:
        return from_table(path, options, notes)
    for name in ("column", "label", "weight"):
        if value := getattr(options, name):
            raise BadUsage(f"{name} = {value!r} names a column, but {path} is not a CSV file.", f"Leave {name} out.")
    if path.is_dir():
        return from_folder(path, options, notes)
    text = read_text(path)
    if not text.strip():
        raise BadData(f"{path} is empty.", "Use a file with text in it.")
    counts = SampleCounts(found=1, used=1, skipped={}, unit="files")
    return Texts(texts=[text], ids=[path.name], counts=counts)


def from_folder(folder: Path, options: TextOptions, notes: list[str]) -> Texts:
    """Read the .txt files below a folder; the folders in it are classes when all are in several, or splits."""
    found = find_files(folder, TEXTS, "not .txt files")
    notes += skipped_notes(found.skipped)
    if not found.files:
        raise BadData(f"{folder} holds no .txt file.", "Use a folder of .txt files, or a CSV file.")
    names = sorted(found.files, key=natural_key)
    groups, splits = _groups(names, found, folder, options)
    kept = [i for i, group in enumerate(groups) if group is not None]
    if outside := [name for name, group in zip(names, groups, strict=True) if group is None]:
        found.skipped["outside the splits"] = outside
        notes += skipped_notes({"outside the splits": outside})
    names, splits = [names[i] for i in kept], [splits[i] for i in kept]
    texts = [read_text(folder / name) for name in names]
    empty = [name for name, text in zip(names, texts, strict=True) if not text.strip()]
    if empty:
        raise BadData(f"{folder}: {len(empty):,} texts are empty: {shortlist(empty)}.", "Remove them.")
    skipped = {reason: len(paths) for reason, paths in found.skipped.items()}
    counts = SampleCounts(found=len(names) + sum(skipped.values()), used=len(names), skipped=skipped, unit="files")
    words = [group for group in groups if group]
    if not words:
        return Texts(texts=texts, ids=names, counts=counts)
    spelled, classes = class_spellings(words), class_names(words)
    notes += spelling_notes(spelled)
    code = {name: i for i, name in enumerate(classes)}
    labels = np.array([code[spelled[word]] for word in words], np.int64)
    stripped = [text.strip() for text in texts]
    return Texts(texts=stripped, ids=names, labels=labels, classes=classes, splits=splits, counts=counts)


def _groups(
    names: Sequence[str], found: FolderFiles, folder: Path, options: TextOptions
) -> tuple[list[str | None], list[str]]:
    """Return the class and the split of each text; all classes are "" without any, None is a text of neither."""
    none = [""] * len(names)
    if options.folders == "ignore":
        return [*none], none
    tops = [name.split("/")[0] if "/" in name else "" for name in names]
    several = "" not in tops and len(set(tops)) > 1
    named = options.folders == "splits" or "train" in split_names(tops).values()
    layout = read_layout(found, folder, options.folders) if several or named else None
    if layout and any(layout.tops.values()):
        places = [layout.split_and_class(name) for name in names]
        refuse_loose([n for n, place in zip(names, places, strict=True) if not place], layout, folder, "texts")
        return [place and place[1] for place in places], [place[0] if place else "" for place in places]
    if options.folders == "classes" and not several:
        raise BadData(
            f"{folder}: not all texts are in folders, at least two of them, one per class.",
            "Move them into such folders, or omit source.folders.",
        )
    return [*tops] if several else [*none], none


def from_table(path: Path, options: TextOptions, notes: list[str]) -> Texts:
    """Read a column of texts, and one of labels if it is named."""
    table = read_table(path, options.separator, options.quote, one_column=not options.label)
    notes += table.notes
    for option, name in (("column", options.column), ("label", options.label), ("weight", options.weight)):
        if name and name not in table.columns:
            raise BadUsage(f"{path} has no column {name!r} ({option}).", suggest(name, table.columns))
    check_weight_column(options.weight, (options.column, options.label))
    if options.column and options.column == options.label:
        raise BadUsage(
            f"The column {options.column!r} can't be both the text and its label.",
            f"Name two: source.column and source.label. {suggest('', table.columns)}",
        )
    if options.weight and not options.label:
        raise BadUsage(
            "Texts without labels can't have weights: the model is trained on windows of them.", "Set source.label."
        )
    table = drop_zero_weight_rows(table, options.weight, notes)
    others = [name for name in table.columns if name not in (options.label, options.weight)]
    column = options.column or (others[0] if len(others) == 1 else "")
    if not column or column == options.label:
        raise BadUsage(
            f"{path} has the columns {shortlist(table.columns)}: which one holds the texts?",
            "Name it: --set source.column=NAME, and --set source.label=NAME for classification or regression.",
        )
    bare = None
    absent = [line for line, cell in zip(table.lines, table.columns[column], strict=True) if not cell]
    if absent:
        raise BadData(
            f"{path}: column {column!r} is empty in line {shortlist(absent)}.",
            "Fill it in, or remove those rows.",
        )
    if options.label:
        table, bare = with_targets(table, [options.label], options, notes)
    texts = Texts(
        texts=table.columns[column],
        ids=[f"line-{line}" for line in table.lines],
        field=column,
        literal=table.literal,
        counts=counted(table, bare),
        bare=[] if bare is None else list(zip((f"line-{n}" for n in bare.lines), bare.columns[column], strict=True)),
    )
    if not options.label:
        return texts
    labels, classes = read_target(table, options.label, options.kind, MissingWords(options.na_values), notes)
    weights = weights_of(table, options.weight)
    return replace(texts, labels=labels, classes=classes, target=options.label, weights=weights)
