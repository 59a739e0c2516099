"""CSV and TSV files: read as everywhere in Benchdog, kept as Arrow's texts, typed by the cells of all splits."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchdog.api import MissingWords, is_number, number, read_table, spelling
from benchdog_huggingface.columns import BOOLEANS, usual_target
from benchdog_huggingface.offline import datasets
from benchdog_huggingface.options import DataOptions

FORMAT = 1
"""Of the tables that are kept."""
LOOKED_AT = 200
"""Cells at the beginning of a column that usually show that it holds texts."""


@dataclass(slots=True)
class Typed:
    """Tables with types: datasets.Dataset by split, and how many cells of a column are words for missing values."""

    splits: dict[str, list[Any]] = field(default_factory=dict)
    words: dict[str, dict[str, int]] = field(default_factory=dict)


def text_table(file: Path, options: DataOptions, cache: Path) -> Any:
    """Return a file's table of texts, mapped into memory; its metadata hold notes, and how quotation marks were read.

    Raises:
        BadData: it is not a table.
    """
    import pyarrow as pa

    found = file.stat()
    separator = "tab" if file.suffix.lower() == ".tsv" and options.separator == "auto" else options.separator
    asked = [FORMAT, str(file.absolute()), found.st_size, found.st_mtime_ns, separator, options.quote]
    kept = cache / "tables" / f"{hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:32]}.arrow"
    if not kept.is_file():
        table = read_table(file, separator, options.quote)
        said = {"notes": json.dumps(table.notes), "literal": json.dumps(table.literal)}
        cells = pa.table({name: pa.array(column, pa.large_string()) for name, column in table.columns.items()})
        kept.parent.mkdir(parents=True, exist_ok=True)
        part = kept.with_suffix(f".{os.getpid()}.part")
        with part.open("wb") as out, pa.ipc.new_stream(out, cells.schema.with_metadata(said)) as writer:
            writer.write_table(cells)
        part.replace(kept)
    return pa.ipc.open_stream(pa.memory_map(str(kept))).read_all()


def typed(splits: Mapping[str, Sequence[Any]], options: DataOptions) -> Typed:
    """Cast the columns of text tables to their types, the same in all splits.

    A column holds numbers, true and false, or texts, in which words for missing values stay; all files decide
    together. A target with leading zeros, or numbers of more than 53 bits, are texts unless numbers are asked for.
    """
    import pyarrow as pa

    tables = [table for each in splits.values() for table in each]
    names = dict.fromkeys(name for table in tables for name in table.column_names)
    target = options.target or usual_target(names)
    found = Typed()
    columns: dict[str, list[Any]] = {}
    for name in names:
        words = MissingWords(options.na_values)
        if name == target and options.kind == "class" and not words.named:
            words = MissingWords(())
        exact = name == target and options.kind != "number"
        own = [table.column(name) if name in table.column_names else None for table in tables]
        columns[name], found.words[name] = _typed(own, words, exact=exact)
    library, at = datasets(), 0
    for split, each in splits.items():
        found.splits[split] = []
        for _ in each:
            arrays = {name: columns[name][at] for name in names if columns[name][at] is not None}
            table = library.table.InMemoryTable(pa.table(arrays))
            mark = library.fingerprint.generate_random_fingerprint()
            found.splits[split].append(library.Dataset(table, fingerprint=mark))
            at += 1
    return found


def _typed(columns: Sequence[Any], words: MissingWords, *, exact: bool) -> tuple[list[Any], dict[str, int]]:
    """Return columns of texts (None: a table has no such column) in their type, and the words read as missing."""
    import pyarrow as pa

    given = [column for column in columns if column is not None]
    if any(_is_text(cell, words) for column in given for cell in column.slice(0, LOOKED_AT).to_pylist()):
        return list(columns), {}
    encoded = [None if column is None else column.combine_chunks().dictionary_encode() for column in columns]
    cells = [[] if each is None else each.dictionary.to_pylist() for each in encoded]
    different = {cell for each in cells for cell in each}
    kind = _kind([cell for cell in different if cell not in words], exact=exact)
    if kind == "text":
        return list(columns), {}
    made: list[Any] = []
    said: dict[str, int] = {}
    for each, own in zip(encoded, cells, strict=True):
        if each is None:
            made.append(None)
            continue
        counts = np.bincount(each.indices.to_numpy(), minlength=len(own)).tolist()
        for cell, count in zip(own, counts, strict=True):
            if cell and cell in words:
                said[cell] = said.get(cell, 0) + count
        values = pa.array([None if cell in words else _value(cell, kind) for cell in own], getattr(pa, kind)())
        made.append(values.take(each.indices))
    return made, said


def _is_text(cell: str, words: MissingWords) -> bool:
    return cell not in words and not is_number(cell) and cell.casefold() not in BOOLEANS


def _kind(cells: Collection[str], *, exact: bool) -> str:
    """Return what a column's different cells are: "text", or Arrow's type of numbers, bool_ or null."""
    if not cells:
        return "null"
    if all(cell.casefold() in BOOLEANS for cell in cells):
        return "text" if exact else "bool_"
    if not all(map(is_number, cells)) or (exact and not _is_plain(cells)):
        return "text"
    whole = all(re.fullmatch(r"-?[0-9]{1,18}", spelling(cell)) for cell in cells)
    return "int64" if whole else "float64"


def _is_plain(cells: Iterable[str]) -> bool:
    """Whether numbers are identified by their values: none has leading zeros or more than 53 bits."""
    return all(not re.match(r"[+-]?0[0-9]", cell) and abs(number(cell) or 0) < 2**53 for cell in cells)


def _value(cell: str, kind: str) -> Any:
    if kind == "bool_":
        return BOOLEANS[cell.casefold()]
    return int(spelling(cell)) if kind == "int64" else float(cell)
