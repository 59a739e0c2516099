"""The source `hf`: texts, images or tables that the library datasets reads from the disk."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Mapping, Set
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from PIL import Image

from benchdog.api import BadData, Cache, Column, Field, Preprocess, Spec, words
from benchdog_huggingface import splits, tokenizer
from benchdog_huggingface.alignment import aligned, declared
from benchdog_huggingface.columns import Array, Chosen, choose, kind_of, pylist
from benchdog_huggingface.dataset_files import read
from benchdog_huggingface.options import DataOptions
from benchdog_huggingface.rows import Images, Part, Table, Texts, bytes_of
from benchdog_huggingface.targets import natural, read_targets

LOOKED_AT = 500
"""Images whose size and color decide those of all, spread over the training split."""
LARGEST, USUAL = 256, 128
"""Images of one size up to the first are used as they are; others are brought to the second."""
GREY = ("1", "L", "LA", "I", "I;16", "I;16B", "I;16L")
MOST_CATEGORIES = 100
"""Texts of a table's column in more kinds than this are not categories."""


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
        self._cache: Path | None = None
        self._own: Any = None
        self._words: dict[str, list[str]] = {}
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
        return {name: Table(part, field.name, field.columns, self._words) for name, part in loaded.parts.items()}

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
        pieces = read(options.path, cache, self.notes)
        assert options.path is not None
        features = declared(pieces)
        chosen = choose(features, options)
        if chosen.left_out:
            self.notes.append(f"Columns of other types, left out: {', '.join(chosen.left_out)}.")
        data = aligned(pieces, features, chosen, self.notes)
        if chosen.kind == "table":
            chosen = self._without_odd(chosen, features, data)
        targets = read_targets(data, features[chosen.target], chosen, options, self.notes)
        data = {name: part.select_columns(list(chosen.inputs)) for name, part in data.items()}
        marks = splits.marks(options.path, data, chosen, cache)
        there = {name: rows & (marks[name] != splits.EMPTY) for name, rows in targets.there.items()}
        self._missing(there, chosen, targets.no_label)
        places = splits.divide(there, marks, options, self.notes)
        self.seen = splits.seen(places, marks)
        parts = {
            name: Part(data=data[own], name=own, at=rows, targets=targets.values[own][rows])
            for name, (own, rows) in places.items()
        }
        field, op, transform = self._input(chosen, features, parts["train"])
        preprocess = Preprocess(decode={field.name: [op]}, transform={field.name: [transform]})
        return _Loaded(
            chosen=chosen, spec=Spec(fields=(field,), target=targets.target), preprocess=preprocess, parts=parts
        )

    def _without_odd(self, chosen: Chosen, features: Mapping[str, Any], data: Mapping[str, Any]) -> Chosen:
        """Leave out texts that are not categories: names, numbers of orders, remarks."""
        odd = []
        for name in chosen.inputs:
            if kind_of(features[name]) != "text":
                continue
            cells = [cell for part in data.values() for cell in pylist(part, name)]
            kinds = {cell.strip() for cell in cells if cell is not None} - {""}
            if not kinds or len(kinds) > min(MOST_CATEGORIES, max(2, len(cells) // 2)):
                odd.append(name)
        if odd:
            self.notes.append(f"Columns of too many different texts, left out: {', '.join(odd)}.")
        kept = tuple(name for name in chosen.inputs if name not in odd)
        if not kept:
            raise BadData(
                "There is no column of numbers or categories to learn from.",
                f"To learn from a text: --set source.input={odd[0]}",
            )
        return replace(chosen, inputs=kept)

    def _missing(self, there: Mapping[str, Array], chosen: Chosen, no_label: Set[Any]) -> None:
        """Refuse or report rows that lack something; a split without any target is reported elsewhere."""
        gone = [f"{name}[{i}]" for name, rows in there.items() if rows.any() for i in np.flatnonzero(~rows)]
        if not gone:
            return
        shown = ", ".join(gone[:5]) + (f" and {len(gone) - 5:,} more" if len(gone) > 5 else "")
        given = f" ({', '.join(map(str, sorted(no_label)))})" if no_label else ""
        what = f"no {chosen.target!r}{given}" + (f" or no {chosen.inputs[0]!r}" if chosen.kind != "table" else "")
        if self.options.missing == "refuse":
            raise BadData(f"{len(gone):,} rows have {what}: {shown}.", 'Leave them out: --set source.missing="drop"')
        self.notes.append(f"{len(gone):,} rows have {what}, and are left out: {shown}.")

    def _input(self, chosen: Chosen, features: Mapping[str, Any], train: Part) -> tuple[Field, Any, Any]:
        """Describe the field, and how it is decoded and transformed."""
        if chosen.kind == "text":
            op = tokenizer.operation(self.options.tokenizer, self.options.length)
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
        sizes, gray = set(), True
        for i in np.linspace(0, len(train.at) - 1, min(LOOKED_AT, len(train.at))).astype(int).tolist():
            try:
                with Image.open(io.BytesIO(bytes_of(train.row(i)[name], train.id(i)))) as picture:
                    sizes.add((picture.height, picture.width))
                    gray = gray and picture.mode in GREY
            except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
                raise BadData(f"Sample {train.id(i)!r} is not an image: {error}.", "Correct or remove it.") from None
        height = width = self.options.size
        if not height and len(sizes) == 1 and max(next(iter(sizes))) <= LARGEST:
            height, width = next(iter(sizes))
        elif not height:
            height = width = min(USUAL, int(median(min(size) for size in sizes)))
            self.notes.append(f"Images of other sizes are stretched to {height}x{width} pixels (option size).")
        mode = ("L" if gray else "RGB") if self.options.mode == "auto" else self.options.mode
        shape = (1 if mode == "L" else 3, height, width)
        op = {"op": "image", "mode": mode, "height": height, "width": width}
        field = Field(kind="image", shape=shape, dtype="uint8", name=name, range=(0, 255))
        return field, op, {"op": "standardise", "axes": "channel"}

    def _table(self, chosen: Chosen, features: Mapping[str, Any], train: Part) -> tuple[Field, Any, Any]:
        """Describe columns by the training split: what is a number, what a category, what may be missing."""
        data = train.data.select(train.at)
        columns: list[Column] = []
        absent = []
        for name in chosen.inputs:
            kind = kind_of(features[name])
            if kind == "number":
                columns.append(Column(name=name))
                if any(cell is None or cell != cell for cell in pylist(data, name)):
                    absent.append(name)
                continue
            if kind == "class":
                self._words[name] = [word.strip() for word in features[name].names]
                columns.append(Column(name=name, kind="category", categories=tuple(self._words[name])))
                continue
            found = {cell.strip() for cell in pylist(data, name) if cell is not None} - {""}
            columns.append(Column(name=name, kind="category", categories=tuple(sorted(found, key=natural))))
        field = Field(kind="table", shape=(len(columns),), dtype="float32", columns=tuple(columns))
        described = [{"name": c.name, "kind": c.kind, "categories": list(c.categories)} for c in columns]
        return field, {"op": "row", "columns": described}, {"op": "table", "missing": absent}
