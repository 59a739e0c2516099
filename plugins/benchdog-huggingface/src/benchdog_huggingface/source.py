"""The source `hf`: texts, images or tables that the library datasets reads from the disk."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from PIL import ExifTags, Image

from benchdog.api import (
    BadData,
    Cache,
    Field,
    MissingWords,
    Preprocess,
    SampleCounts,
    Spec,
    Target,
    lacking_notes,
    words,
)
from benchdog_huggingface import splits, tables, tokenizer
from benchdog_huggingface.alignment import aligned, declared
from benchdog_huggingface.columns import Array, Chosen, choose
from benchdog_huggingface.dataset_files import read
from benchdog_huggingface.options import DataOptions
from benchdog_huggingface.rows import Images, Part, Table, Texts, bytes_of
from benchdog_huggingface.targets import read_targets

LOOKED_AT = 500
"""Images whose size and color decide those of all, spread over the training split."""
LARGEST, USUAL = 256, 128
"""Images of one size up to the first are used as they are; others are brought to the second."""
SIDEWAYS = (5, 6, 7, 8)
"""EXIF orientations that swap height and width."""
GREY = ("1", "L", "LA", "I", "I;16", "I;16B", "I;16L")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Loaded:
    chosen: Chosen
    spec: Spec
    preprocess: Preprocess
    parts: Mapping[str, Part]


class DataSet:
    """Rows stay in Arrow's files, mapped into memory; each process opens them for itself."""

    def __init__(self, options: DataOptions) -> None:
        self.options = options
        self.notes: list[str] = []
        self.seen: dict[str, int] = {}
        self.counts: SampleCounts | None = None
        self._cache: Path | None = None
        self._own: Any = None
        self._words: dict[str, list[str]] = {}
        self._missing_words = MissingWords(options.na_values)
        self._loaded: _Loaded | None = None

    def fetch(self, cache: Cache) -> None:
        """Remember where Arrow copies are kept; nothing is fetched."""
        self._cache = cache.folder

    def spec(self) -> Spec:
        """Describe the input by the columns' types, and the target."""
        return self._load().spec

    def preprocess(self, spec: Spec) -> Preprocess:
        """Return the way from a text, an image file or a row to the input, a tokenizer's definition with it."""
        return self._load().preprocess

    def open(self) -> dict[str, Texts | Images | Table]:
        """Return each split's rows."""
        loaded = self._load()
        (field,) = loaded.spec.fields
        op = loaded.preprocess.decode[field.name][0]
        if loaded.chosen.kind == "text":
            encode = tokenizer.encoder(op)
            return {name: Texts(part, field.name, encode) for name, part in loaded.parts.items()}
        if loaded.chosen.kind == "image":
            return {name: Images(part, field.name) for name, part in loaded.parts.items()}
        return {
            name: Table(part, field.name, field.columns, self._words, self._missing_words)
            for name, part in loaded.parts.items()
        }

    def _load(self) -> _Loaded:
        if self._loaded is None:
            self.notes.clear()
            self._loaded = self._read()
        return self._loaded

    def _folder(self) -> Path:
        """Return the cache's folder, or one of its own where nobody gave any."""
        if self._cache is None:
            self._own = tempfile.TemporaryDirectory(prefix="benchdog-hf-", ignore_cleanup_errors=True)
            self._cache = Path(self._own.name)
        return self._cache

    def _read(self) -> _Loaded:
        options, cache = self.options, self._folder()
        found = read(options, cache, self.notes)
        assert options.path is not None
        features = declared(found.splits)
        chosen = choose(features, options)
        self.notes += [f"{why}: {', '.join(names)}." for why, names in chosen.left_out.items() if names]
        data = aligned(found.splits, features, chosen, self.notes)
        if chosen.kind == "table":
            chosen = tables.usable(chosen, features, data, options, self.notes)
            self.notes += tables.missing_note(chosen, features, data, found.words, self._missing_words)
        targets = read_targets(data, features[chosen.target], chosen, options, self.notes)
        data = {name: part.select_columns(list(chosen.inputs)) for name, part in data.items()}
        marks = splits.marks(options.path, data, chosen, cache)
        there = {name: rows & (marks[name] != splits.EMPTY) for name, rows in targets.there.items()}
        self._missing(there, chosen, targets.no_target)
        places = splits.divide(there, marks, options, self.notes)
        self.seen = splits.seen(places, marks)
        self.counts = splits.counts(targets.there, marks, found.unused)
        parts = {
            name: Part(data=data[own], name=own, at=rows, targets=targets.values[own][rows])
            for name, (own, rows) in places.items()
        }
        self.notes += _lacking(targets.target, parts)
        field, op, transform = self._input(chosen, features, parts["train"])
        if found.literal and chosen.kind != "image":
            op["quote"] = "none"
        preprocess = Preprocess(decode={field.name: [op]}, transform={field.name: [transform]})
        return _Loaded(
            chosen=chosen, spec=Spec(fields=(field,), target=targets.target), preprocess=preprocess, parts=parts
        )

    def _missing(self, there: Mapping[str, Array], chosen: Chosen, no_target: Set[Any]) -> None:
        """Refuse or report rows that lack something; a split without any target is reported elsewhere."""
        gone = [f"{name}[{i}]" for name, rows in there.items() if rows.any() for i in np.flatnonzero(~rows)]
        if not gone:
            return
        shown = ", ".join(gone[:5]) + (f" and {len(gone) - 5:,} more" if len(gone) > 5 else "")
        given = f" (or {', '.join(sorted(map(str, no_target)))})" if no_target else ""
        what = f"no {chosen.target!r}{given}" + (f" or no {chosen.inputs[0]!r}" if chosen.kind != "table" else "")
        if self.options.missing == "refuse":
            hint = 'Leave them out: --set source.missing="drop"'
            if no_target:
                hint += f'. If {min(map(str, no_target))} is a class: --set source.kind="class"'
            raise BadData(f"{len(gone):,} rows have {what}: {shown}.", hint)
        self.notes.append(f"{len(gone):,} rows have {what}, and are left out: {shown}.")

    def _input(self, chosen: Chosen, features: Mapping[str, Any], train: Part) -> tuple[Field, Any, Any]:
        """Describe the field, and how it is decoded and transformed."""
        if chosen.kind == "text":
            if not self.options.input:
                tables.refuse_numbers(chosen.inputs[0], train.data, self._missing_words)
            op = {**tokenizer.operation(self.options.tokenizer, self.options.length), "newlines": True, "strip": True}
            byte = op["unit"] == "byte"
            largest = 256 if byte else len(words(op)) - 1 + op["first"]
            if byte:
                self.notes.append("Without source.tokenizer, the tokens of texts are their UTF-8 bytes.")
            shape = (self.options.length,)
            field = Field(kind="tokens", shape=shape, dtype="int64", name=chosen.inputs[0], range=(0, largest))
            return field, op, {"op": "identity"}
        if chosen.kind == "image":
            return self._image(chosen.inputs[0], train)
        return self._table(chosen, features, train)

    def _image(self, name: str, train: Part) -> tuple[Field, Any, Any]:
        sizes, gray, moving = set(), True, list[str]()
        for i in np.linspace(0, len(train.at) - 1, min(LOOKED_AT, len(train.at))).astype(int).tolist():
            try:
                data = io.BytesIO(bytes_of(train.row(i)[name], train.id(i)))
                with Image.open(data, formats=splits.FORMATS) as picture:
                    turned = picture.getexif().get(ExifTags.Base.Orientation, 1) in SIDEWAYS
                    sizes.add(picture.size if turned else picture.size[::-1])
                    gray = gray and picture.mode in GREY
                    moving += [train.id(i)] * (getattr(picture, "n_frames", 1) > 1)
            except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
                raise BadData(f"Sample {train.id(i)!r} is not an image: {error}.", "Correct or remove it.") from None
        height = width = self.options.size
        if not height and len(sizes) == 1 and max(next(iter(sizes))) <= LARGEST:
            height, width = next(iter(sizes))
        elif not height:
            height = width = min(USUAL, int(median(min(size) for size in sizes)))
            self.notes.append(f"Images of other sizes are stretched to {height}x{width} pixels (option size).")
        if moving:
            self.notes.append(
                f"Only the first frame or page of animations and multi-page images is used, such as {moving[0]}."
            )
        if gray and self.options.mode == "auto" and len(train.at) > LOOKED_AT:
            self.notes.append(
                f"The images are read as grayscale, as {LOOKED_AT} of {len(train.at):,} are; if others are in color: "
                '--set source.mode="RGB".'
            )
        mode = ("L" if gray else "RGB") if self.options.mode == "auto" else self.options.mode
        shape = (1 if mode == "L" else 3, height, width)
        op = {"op": "image", "mode": mode, "height": height, "width": width}
        field = Field(kind="image", shape=shape, dtype="uint8", name=name, range=(0, 255))
        return field, op, {"op": "standardise", "axes": "channel"}

    def _table(self, chosen: Chosen, features: Mapping[str, Any], train: Part) -> tuple[Field, Any, Any]:
        found = tables.described(chosen, features, train, self._missing_words)
        self._words = found.words
        field = Field(kind="table", shape=(len(found.columns),), dtype="float32", columns=tuple(found.columns))
        columns = [{"name": c.name, "kind": c.kind, "categories": list(c.categories)} for c in found.columns]
        op = {"op": "row", "columns": columns, "missing": list(self._missing_words.listed), "canonical": True}
        if found.booleans:
            op["booleans"] = found.booleans
        return field, op, {"op": "table", "missing": found.absent}


def _lacking(target: Target, parts: Mapping[str, Part]) -> list[str]:
    """Return notes on classes that a split lacks."""
    if target.kind != "class":
        return []
    counts = {name: np.bincount(part.targets, minlength=len(target.classes)).tolist() for name, part in parts.items()}
    return lacking_notes(target.classes, counts)
