"""What people hand to a model: files, folders, tables, texts -> raw samples, one after the other."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchdog.api import (
    HIDDEN,
    DecoderInfo,
    Raw,
    find_files,
    open_table,
    read_regular,
    read_text,
    shortlist,
)
from benchdog.data.decode.decoder import Decoder
from benchdog.data.decode.operations import is_paged
from benchdog.errors import BadData

TABLES = (".csv", ".tsv")
SHOWN = 8  # names that a message spells out


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An input that can't be used, and why."""

    id: str
    why: str


@dataclass(frozen=True, slots=True)
class Sample:
    """An input that was read and decoded: one array per field, without a batch axis; and its raw values."""

    id: str
    arrays: tuple[np.ndarray, ...]
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Input:
    """The first decode operation of a field, which says what a raw value is, and its descriptor."""

    op: Mapping[str, Any]
    info: DecoderInfo

    @property
    def own_suffixes(self) -> tuple[str, ...]:
        """Suffixes of files with one raw value; other tables hold a path or a text per row."""
        return self.info.suffixes if self.info.takes == "bytes" else ()


ROWS = DecoderInfo(name="rows", summary="", target="", takes="row", suffixes=TABLES, called="tables")
"""What a model of several inputs takes."""


def silent(text: str) -> None:
    """Drop a note."""


def samples(
    arguments: Sequence[str],
    decoder: Decoder,
    note: Callable[[str], None] = silent,
    skipped: dict[str, list[str]] | None = None,
) -> Iterator[Sample | Unreadable]:
    """Read and decode what the arguments name, in their order; nothing is read ahead.

    Args:
        arguments: files, folders (all files of the model's kind below them, sorted), patterns with *;
            tables for rows; texts, .txt files or tables with them for a model of texts. One of several inputs takes
            tables with a column per input: a path from the table's folder, or a text.
        note: told of what is left out without harm, such as columns that the model doesn't use.
        skipped: receives the paths of the files in folders, and the lines of tables, that aren't read, by reason.
    """
    for raw in raws(arguments, decoder, note, skipped):
        if isinstance(raw, Unreadable):
            yield raw
            continue
        try:
            yield Sample(raw.id, decoder(raw), raw.fields)
        except BadData as error:
            yield Unreadable(raw.id, error.message.removeprefix(f"Sample {raw.id!r}: ").rstrip("."))


def raws(
    arguments: Sequence[str],
    decoder: Decoder,
    note: Callable[[str], None] = silent,
    skipped: dict[str, list[str]] | None = None,
) -> Iterator[Raw | Unreadable]:
    """Read what the arguments name, undecoded."""
    inputs = {name: Input(decoder.preprocess.decode[name][0], info) for name, info in decoder.first.items()}
    name, only = next(iter(inputs.items()))
    takes = only.info.takes if len(inputs) == 1 else "row"
    for argument in arguments:
        if takes == "text" and not _is_file_of_texts(argument, only.info):
            if why := _meant_as_path(argument, only.info):
                yield Unreadable(argument, why)
            else:
                yield Raw(id=argument[:40], fields={name: argument})
            continue
        info = only.info if takes != "row" else ROWS
        for path in _expand(argument, info, note, {} if skipped is None else skipped):
            if isinstance(path, Unreadable):
                yield path
            elif path.suffix.lower() in TABLES and path.suffix.lower() not in only.own_suffixes:
                yield from _rows(path, inputs, note, {} if skipped is None else skipped)
            elif takes != "row":
                yield _file(path, name, only, note)
            else:
                yield Unreadable(str(path), "the model takes rows of a table: give it a .csv or .tsv file")


def read_samples(argument: str, decoder: Decoder, note: Callable[[str], None] = silent) -> Iterator[Raw]:
    """Read what an argument names, undecoded, as `predict` does.

    Args:
        decoder: a model's, `LoadedModel.decoder`.

    Raises:
        BadData: something can't be read.
    """
    for raw in raws([argument], decoder, note):
        if isinstance(raw, Unreadable):
            raise BadData(f"{raw.id}: {raw.why}.")
        yield raw


def _is_file_of_texts(argument: str, info: DecoderInfo) -> bool:
    try:
        return Path(argument).suffix.lower() in (*info.suffixes, *TABLES) and Path(argument).is_file()
    except (OSError, ValueError):  # a text can be too long for a path, or hold a NUL
        return False


def _meant_as_path(argument: str, info: DecoderInfo) -> str:
    """Return what is wrong with a word that must be the name of a file or folder; "" for a text to answer."""
    suffixes = (*info.suffixes, *TABLES)
    try:
        if argument and Path(argument).is_dir():
            return f"that is a folder: name its files, {Path(argument, f'*{suffixes[0]}')} say"
        word = not any(c.isspace() for c in argument)
        if argument and word and Path(argument).is_file():
            return f"that is a file, but texts are read from {', '.join(suffixes)} files alone"
    except (OSError, ValueError):  # too long for a path, or with a NUL: a text
        return ""
    separators = tuple(filter(None, (os.sep, os.altsep)))
    if word and (
        argument.lower().endswith((*filter(None, suffixes), ".json")) or any(mark in argument for mark in separators)
    ):
        return f"there is no such file (a text that looks like a path goes into a {suffixes[0]} file or a table)"
    return ""


def _expand(
    argument: str, info: DecoderInfo, note: Callable[[str], None], skipped: dict[str, list[str]]
) -> Iterator[Path | Unreadable]:
    """Return the files that an argument means: itself, those of a folder, those that fit a pattern."""
    path = Path(argument)
    if path.is_dir():
        yield from _in_folder(path, info, note, skipped)
    elif path.exists() or not glob.has_magic(argument):
        yield path
    else:  # Windows' shell leaves patterns as they are
        matches = sorted(glob.glob(argument, recursive=True))  # noqa: PTH207 - the pattern may be absolute
        for match in map(Path, matches):
            if not match.is_dir():
                yield match
            elif "**" not in argument:  # else what is in it fits the pattern too
                yield from _in_folder(match, info, note, skipped)
        if not matches:
            yield Unreadable(argument, "no file fits this pattern")


def _in_folder(
    folder: Path, info: DecoderInfo, note: Callable[[str], None], skipped: dict[str, list[str]]
) -> Iterator[Path | Unreadable]:
    if not info.suffixes:
        yield Unreadable(str(folder), f"that is a folder, and {info.called} have no suffix: name the files")
        return
    try:
        found = find_files(folder, info.suffixes, f"not {info.called}")
    except BadData as error:
        yield Unreadable(str(folder), error.message.rstrip("."))
        return
    for reason, names in found.skipped.items():
        skipped.setdefault(reason, []).extend(str(folder / name) for name in names)
        if reason != HIDDEN:
            note(f"{folder}: skipped, {reason}: {len(names):,} ({shortlist(names, SHOWN)})")
    yield from (folder / name for name in found.files)
    if not found.files:
        yield Unreadable(str(folder), f"the folder holds no {', '.join(info.suffixes)} file")


def _file(path: Path, field: str, given: Input, note: Callable[[str], None]) -> Raw | Unreadable:
    value = _content(path, given.info)
    if isinstance(value, Unreadable):
        return value
    if given.op["op"] == "image" and is_paged(value):
        note(f"{path}: only its first frame or page is used")
    return Raw(id=str(path), fields={field: value})


def _content(path: Path, info: DecoderInfo) -> Any:
    """Read a file as a raw value: a text or bytes."""
    try:
        return read_text(path) if info.takes == "text" else read_regular(path, info.max_bytes)
    except BadData as error:
        return Unreadable(str(path), _why(path, error))
    except FileNotFoundError:
        return Unreadable(str(path), "there is no such file")
    except OSError as error:
        return Unreadable(str(path), error.strerror or str(error))


def _why(path: Path, error: BadData) -> str:
    """Return what is wrong with a file, without its name."""
    text = error.message.removeprefix(str(path)).lstrip(":, ").rstrip(".")
    return f"it {text}" if text.startswith(("is ", "has ", "holds ", "can't ")) else text


# --- tables ----------------------------------------------------------------------------------------


def _rows(
    path: Path,
    inputs: Mapping[str, Input],
    note: Callable[[str], None],
    skipped: dict[str, list[str]],
) -> Iterator[Raw | Unreadable]:
    """Read a table row by row; a table without the columns that are needed is unreadable as a whole."""
    needed = _needed(inputs)
    quote = next((given.op["quote"] for given in inputs.values() if "quote" in given.op), "auto")
    try:
        table = open_table(path, quote=quote, needed=needed)
        fault = _header_fault(table.names, needed)
        first = next(iter(inputs.values())).info
        if fault and len(inputs) == 1 and first.takes == "bytes":
            fault = (
                f"the model takes {first.called}: give it their files, or a table with their paths in {needed[0]!r}"
            )
        if fault:
            yield Unreadable(str(path), fault)
            return
        for sentence in table.notes:
            note(f"{path}: {sentence}")
        if extra := [name for name in table.names if name and name not in needed]:
            note(f"{path}: columns that the model doesn't use: {shortlist(extra, SHOWN)}")
        blank, empty = 0, True
        for line, cells in table.rows():
            if cells:
                yield _row(path, line, table.names, cells, inputs)
                empty = False
            else:
                blank += 1
                skipped.setdefault("blank rows", []).append(f"{path}:{line}")
        if blank:
            note(f"{path}: skipped, blank rows: {blank:,}")
        if empty:
            yield Unreadable(str(path), "it has column names but no rows")
    except BadData as error:
        yield Unreadable(str(path), _why(path, error))


def _needed(inputs: Mapping[str, Input]) -> list[str]:
    """List the columns that a table must have: those of a row, and one per other field."""
    names: list[str] = []
    for field, given in inputs.items():
        names += [c["name"] for c in given.op["columns"]] if given.info.takes == "row" else [field]
    return list(dict.fromkeys(names))


def _header_fault(header: Sequence[str], needed: Sequence[str]) -> str:
    """Return what is wrong with a table's header; "" when nothing is."""
    missing = [name for name in needed if name not in header]
    if missing:
        return f"it lacks the columns {shortlist(missing, SHOWN)}; it has {shortlist(header, SHOWN)}"
    twice = [name for name in needed if header.count(name) > 1]
    return f"it has the columns {shortlist(twice, SHOWN)} twice" if twice else ""


def _row(
    path: Path,
    line: int,
    header: Sequence[str],
    cells: Sequence[str],
    inputs: Mapping[str, Input],
) -> Raw | Unreadable:
    name = f"{path}:{line}"
    if len(cells) != len(header):
        return Unreadable(name, f"the line has {len(cells)} values, the header {len(header)}")
    row: dict[str, Any] = {column: cell or None for column, cell in zip(header, cells, strict=True)}
    fields: dict[str, Any] = {}
    for field, given in inputs.items():
        if given.info.takes == "row":
            fields[field] = row
        elif row[field] is None:
            return Unreadable(name, f"column {field!r} is empty")
        elif given.info.takes == "text":
            fields[field] = row[field]
        else:
            value = _content(path.parent / row[field], given.info)
            if isinstance(value, Unreadable):
                return Unreadable(name, f"{value.id}: {value.why}")
            fields[field] = value
    return Raw(id=name, fields=fields)
