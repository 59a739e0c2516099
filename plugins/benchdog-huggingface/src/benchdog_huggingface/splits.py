"""Which rows belong to which split: as the data says, else by their content."""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from benchdog.api import IMAGE_FORMATS, MAX_PIXELS, BadData, BadUsage, SampleCounts, pixel_hash, split_of
from benchdog_huggingface.columns import Array, Chosen
from benchdog_huggingface.dataset_files import WHOLE, files_of
from benchdog_huggingface.options import DataOptions
from benchdog_huggingface.rows import bytes_of, clean

FORMATS = tuple(each.name for each in IMAGE_FORMATS)
SPLITS = ("train", "valid", "test")
ROWS = 1000
"""Rows that are looked at together."""
EMPTY = 0
"""The mark of a row without a text or an image."""
FORMAT = 3
"""Of the marks that are kept."""


def marks(path: Path, splits: Mapping[str, Any], chosen: Chosen, cache: Path) -> dict[str, Array]:
    """Return a mark (N,) uint64 of what each row is learned from, equal for equal rows; EMPTY where it is missing.

    Each process opens the data for itself, so the marks are kept in the cache, by the files' sizes and times.
    """
    files = [(str(file.absolute()), file.stat().st_size, file.stat().st_mtime_ns) for file in files_of(path)]
    sizes = {name: len(part) for name, part in splits.items()}
    asked = json.dumps([FORMAT, files, chosen.inputs, chosen.kind, sizes])
    kept = cache / "marks" / f"{hashlib.sha256(asked.encode()).hexdigest()[:32]}.npz"
    if kept.is_file():
        try:
            with np.load(kept, allow_pickle=False) as stored:
                return {name: stored[name] for name in splits}
        except (OSError, ValueError, KeyError):
            kept.unlink(missing_ok=True)  # half a file: another process may have been killed
    if chosen.kind == "image":
        found = _image_marks(splits, chosen.inputs[0])
    else:
        found = {name: np.fromiter(_marks(part, chosen), np.uint64, len(part)) for name, part in splits.items()}
    kept.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **found)
    part = kept.with_suffix(f".{id(buffer)}.part")
    part.write_bytes(buffer.getvalue())
    part.replace(kept)
    return found


def _marks(split: Any, chosen: Chosen) -> Iterator[int]:
    for begin in range(0, len(split), ROWS):
        rows = split.select_columns(list(chosen.inputs)).with_format("arrow")[begin : begin + ROWS]
        columns = [rows.column(name).to_pylist() for name in chosen.inputs]
        for values in zip(*columns, strict=True):
            if chosen.kind == "table":
                yield mark(values)
            else:
                yield EMPTY if _is_empty(values[0]) else mark([clean(values[0])])


def _image_marks(splits: Mapping[str, Any], name: str) -> dict[str, Array]:
    """Return the marks of images: of those with equal pixels, in whatever format, the smallest hash of a file."""
    hashed: list[tuple[int, int]] = []
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for split, part in splits.items():
            for begin in range(0, len(part), ROWS):
                images = part.with_format("arrow")[begin : begin + ROWS].column(name).to_pylist()
                ids = (f"{split}[{i}]" for i in range(begin, begin + len(images)))
                hashed += pool.map(_hash_image, images, ids)
    files, pixels = np.array(hashed, np.uint64).reshape(-1, 2).T
    kinds, back = np.unique(pixels, return_inverse=True)
    smallest = np.full(len(kinds), np.iinfo(np.uint64).max, np.uint64)
    np.minimum.at(smallest, back, files)
    sizes = np.cumsum([len(part) for part in splits.values()])[:-1]
    return dict(zip(splits, np.split(smallest[back], sizes), strict=True))


def _hash_image(image: Mapping[str, Any], name: str) -> tuple[int, int]:
    """Return marks of an image's file and of its pixels; those of a damaged file are equal."""
    if _is_empty(image):
        return EMPTY, EMPTY
    data = bytes_of(image, name)
    file = mark([data])
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as opened:
            if opened.width * opened.height > MAX_PIXELS:
                return file, file
            return file, mark([pixel_hash(ImageOps.exif_transpose(opened))])
    except Exception:  # Pillow raises a dozen kinds; it is reported when it is decoded
        return file, file


def _is_empty(value: Any) -> bool:
    if isinstance(value, dict):
        return not (value.get("bytes") or value.get("path"))
    return value is None or not str(value).strip()


def mark(values: Iterable[Any]) -> int:
    """Return 64 bits of a row's content; never EMPTY."""
    state = hashlib.blake2b(digest_size=8)
    for value in values:
        data = value if isinstance(value, bytes) else repr(value).encode("utf-8", "surrogatepass")
        state.update(len(data).to_bytes(8, "little") + data)
    return int.from_bytes(state.digest(), "little") or 1


def divide(
    there: Mapping[str, Array], found: Mapping[str, Array], options: DataOptions, notes: list[str]
) -> dict[str, tuple[str, Array]]:
    """Return for each of Benchdog's splits which of the data's it is, and the rows (n,) of that.

    Args:
        there: by the data's split, which rows have all that is needed.
        found: by the data's split, the rows' marks.

    Raises:
        BadData: a split has no rows.
    """
    if options.valid + options.test >= 1:
        raise BadUsage(f"valid = {options.valid} and test = {options.test} leave no training data.")
    own = WHOLE if WHOLE in there else "train"
    given = {name: (name, np.flatnonzero(rows)) for name, rows in there.items() if name not in (WHOLE, "train")}
    bare = [name for name, (_, at) in given.items() if not len(at)]
    for name in bare:
        del given[name]
    if bare:
        notes.append(f"No row of {' and '.join(bare)} has a target: not used.")
    shares = {
        "valid": 0.0 if "valid" in given else options.valid,
        "test": 0.0 if "test" in given else options.test,
    }
    rows = np.flatnonzero(there[own])
    kinds, back = np.unique(found[own][rows], return_inverse=True)
    names = np.array(
        [split_of(int(kind).to_bytes(8, "little"), **shares, seed=options.split_seed) for kind in kinds] or [""]
    )[back]
    parts = {name: (own, rows[names == name]) for name in SPLITS if name not in given or name == "train"} | given
    for name in SPLITS:
        if not len(parts[name][1]):
            raise BadData(
                f"The data has {len(rows):,} rows to divide, and none of them for {name}.",
                "More rows are needed, other shares, or splits named train, validation and test.",
            )
    return {name: parts[name] for name in SPLITS}


def seen(parts: Mapping[str, tuple[str, Array]], found: Mapping[str, Array]) -> dict[str, int]:
    """Count the valid rows whose content is in train too, and the test rows whose is in train or valid."""
    known = np.empty(0, np.uint64)
    counts = {}
    for name in SPLITS:
        own, rows = parts[name]
        own_rows = found[own][rows]
        counts[name] = int(np.isin(own_rows, known).sum())
        known = np.union1d(known, own_rows)
    return {name: count for name, count in counts.items() if count}


def counts(there: Mapping[str, Array], found: Mapping[str, Array], unused: int) -> SampleCounts:
    """Count the rows used, and those skipped: without a target, without a text or image, in an unused split.

    Args:
        there: by the data's split, which rows have a target.
        found: by the data's split, the rows' marks.
        unused: rows of splits that are not used.
    """
    total = sum(map(len, there.values())) + unused
    bare = sum(int((~rows).sum()) for rows in there.values())
    empty = sum(int((rows & (found[name] == EMPTY)).sum()) for name, rows in there.items())
    skipped = {"without a target": bare, "without a text or image": empty, "in splits that aren't used": unused}
    used = total - sum(skipped.values())
    return SampleCounts(found=total, used=used, skipped={why: n for why, n in skipped.items() if n}, unit="rows")
