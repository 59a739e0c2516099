"""Finding a data set on the disk: what save_to_disk wrote, or files of one kind, and the splits that they name."""

from __future__ import annotations

import glob
import json
import re
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchdog.api import HIDDEN, BadData, BadUsage, find_files, shortlist
from benchdog_huggingface.offline import datasets
from benchdog_huggingface.options import DataOptions
from benchdog_huggingface.text_tables import text_table, typed

READERS = {
    ".parquet": "parquet", ".arrow": "arrow", ".csv": "csv", ".tsv": "csv", ".json": "json", ".jsonl": "json",
    ".ndjson": "json",
}  # fmt: skip
SPLIT_NAMES = {
    "train": "train", "training": "train", "valid": "valid", "validation": "valid", "val": "valid", "dev": "valid",
    "test": "test", "testing": "test",
}  # fmt: skip
"""Words that name a split."""
WHOLE = "rows"
"""The only split of what isn't divided."""
STATE = "state.json"
SAVED = ("dataset_dict.json", STATE)
"""What save_to_disk writes into its folder: of several splits, of one."""
NO_DATA = (
    "dataset_info.json", "dataset_infos.json", "config.json", "generation_config.json", "tokenizer.json",
    "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json",
)  # fmt: skip
"""Files next to data, or of a model in the same folder, that are not data."""
ROWS = 1000
"""Rows of a Parquet file that are copied at once: the library's own choice fails for files without any."""
ARROW_FILE = b"ARROW1"
"""How a file in Arrow's file format begins."""


@dataclass(slots=True)
class Found:
    """What lies at a path.

    Attributes:
        splits: the pieces (datasets.Dataset) of train, valid and test, or those of "rows". Pieces can differ in
            columns, types and class names: each has what its own file says.
        unused: number of rows in splits that aren't used.
        words: of tables in text files, by column how many cells are a word for a missing value.
        literal: whether quotation marks in such tables are text.
    """

    splits: dict[str, list[Any]]
    unused: int = 0
    words: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    literal: bool = False


def read(options: DataOptions, cache: Path, notes: list[str]) -> Found:
    """Open a data set's splits.

    Args:
        options: path, and how tables in text files are read.
        cache: where Arrow copies of other files are kept.
        notes: receives notes for the user.

    Raises:
        BadUsage: no path.
        BadData: nothing there that can be read, or no split to train on.
    """
    path = options.path
    if path is None:
        raise BadUsage("The source hf needs the path of a data set.", "Add --set source.path=PATH")
    if not path.exists():
        raise BadData(
            f"{path} doesn't exist.", "Pass what save_to_disk wrote, or a Parquet, Arrow, CSV or JSON file."
        )
    try:
        if saved := _saved(path):
            return _named(path, saved, notes)
        files, kind = _files(path, notes)
        if kind == "csv":
            return _text_tables(path, files, options, cache, notes)
        return _named(path, {name: _pieces(each, kind, cache) for name, each in files.items()}, notes)
    except (BadData, BadUsage):
        raise
    except Exception as error:  # the library and pyarrow raise dozens of kinds for damaged files
        raise BadData(f"{path} can't be read: {_said(error)}.", "The file is damaged, or of another form.") from None


def training_split(splits: Container[str]) -> str:
    """Return which of the data's splits is trained on."""
    return WHOLE if WHOLE in splits else "train"


def files_of(path: Path) -> list[Path]:
    """List a path's files in order, hidden ones aside: what tells whether the data was changed."""
    return [path] if path.is_file() else sorted(path / name for name in find_files(path, ("",), "").files)


def _saved(path: Path) -> dict[str, list[Any]]:
    """Open what save_to_disk wrote: splits together, one alone, or one in each folder; empty for other data."""
    library = datasets()
    folders = [path] if any((path / name).is_file() for name in SAVED) else []
    if not folders and path.is_dir():
        folders = sorted(place for place in path.iterdir() if (place / STATE).is_file())
    parts: dict[str, list[Any]] = {}
    for folder in folders:
        found = library.load_from_disk(str(folder), keep_in_memory=False)
        whole = WHOLE if folder == path else folder.name
        for name, part in found.items() if isinstance(found, library.DatasetDict) else [(whole, found)]:
            parts[name] = [part]
    return parts


def _files(path: Path, notes: list[str]) -> tuple[dict[str, list[Path]], str]:
    """Return the files by split, and the library's reader of them; report those that are not read."""
    if path.is_dir():
        listed = find_files(path, tuple(READERS), "of another kind")
        files = sorted(path / name for name in listed.files if name.rpartition("/")[2] not in NO_DATA)
        for reason, names in listed.skipped.items():
            names = [name for name in names if name.rpartition("/")[2] not in NO_DATA]
            if names and reason != HIDDEN:
                notes.append(f"Files that aren't read, {reason}: {len(names):,} ({shortlist(names)}).")
    else:
        files = [path] if path.is_file() and path.suffix.lower() in READERS else []
    kinds = sorted({file.suffix.lower() for file in files})
    endings = ", ".join(READERS)
    if not files:
        what = f"{path} holds no file" if path.is_dir() else f"{path} is no file"
        raise BadData(f"{what} that is read: {endings}.", "A folder that save_to_disk wrote is read too.")
    if len({READERS[kind] for kind in kinds}) > 1 or (len(kinds) > 1 and ".tsv" in kinds):
        raise BadData(
            f"{path} holds files of several kinds: {', '.join(kinds)}.", "Name one file, or a folder of one kind."
        )
    if empty := [file for file in files if not file.stat().st_size]:
        raise BadData(f"{empty[0]} is empty.", "Remove it, or get it again.")
    parts: dict[str, list[Path]] = {}
    for file in files:
        parts.setdefault(_split(file, path), []).append(file)
    return parts, READERS[kinds[0]]


def _text_tables(
    path: Path, files: Mapping[str, Sequence[Path]], options: DataOptions, cache: Path, notes: list[str]
) -> Found:
    tables = {name: [text_table(file, options, cache) for file in each] for name, each in files.items()}
    named = _named(path, tables, notes)
    used = [table for each in named.splits.values() for table in each]
    for table in used:
        notes += json.loads(table.schema.metadata[b"notes"])
    literal = {table.schema.metadata[b"literal"] for table in used}
    if len(literal) > 1:
        raise BadData(
            f"{path}: quotation marks enclose cells in one file, and are text in another.",
            "Choose one meaning: --set source.quote=double, or none",
        )
    made = typed(named.splits, options)
    return replace(named, splits=made.splits, words=made.words, literal=literal == {b"true"})


def _pieces(files: Sequence[Path], kind: str, cache: Path) -> list[Any]:
    """Open the files of a split: together as far as they say that they hold the same."""
    library = datasets()
    if kind == "arrow" and not any(map(_is_arrow_file, files)):  # in place, without a copy
        return [library.Dataset.from_file(str(file)) for file in files]
    pieces = []
    for features, group in _alike(files, kind):
        if kind == "parquet" and not any(map(_rows, group)):
            empty = library.table.InMemoryTable(features.arrow_schema.empty_table())
            pieces.append(library.Dataset(empty, fingerprint=library.fingerprint.generate_random_fingerprint()))
            continue
        more: dict[str, Any] = {"features": features} if features else {}
        if kind == "parquet":
            more["batch_size"] = ROWS
        names = [glob.escape(file.absolute().as_posix()) for file in group]
        pieces.append(library.load_dataset(kind, data_files=names, cache_dir=str(cache), **more)["train"])
    return pieces


def _alike(files: Sequence[Path], kind: str) -> list[tuple[Any, list[Path]]]:
    """Group files by the columns and class names that they declare, in order; other kinds declare none."""
    groups: list[tuple[Any, list[Path]]] = []
    for file in files:
        features = _declared(file, kind)
        if groups and groups[-1][0] == features:
            groups[-1][1].append(file)
        else:
            groups.append((features, [file]))
    return groups


def _declared(file: Path, kind: str) -> Any:
    """Return what a Parquet or Arrow file declares of its columns; None for a file of another kind."""
    if kind not in ("parquet", "arrow"):
        return None
    import pyarrow as pa
    import pyarrow.parquet as pq

    if kind == "parquet":
        schema = pq.read_schema(file)
    else:
        with pa.memory_map(str(file)) as source:
            opened = pa.ipc.open_file if _is_arrow_file(file) else pa.ipc.open_stream
            schema = opened(source).schema
    twice = sorted({name for name in schema.names if schema.names.count(name) > 1})
    if twice:
        raise BadData(f"{file} has several columns named {twice[0]!r}.", "Rename them.")
    return datasets().Features.from_arrow_schema(schema)


def _rows(file: Path) -> int:
    import pyarrow.parquet as pq

    return int(pq.read_metadata(file).num_rows)


def _is_arrow_file(file: Path) -> bool:
    """Whether a file is in Arrow's file format (Feather), which, unlike a stream, can't be memory-mapped."""
    with file.open("rb") as opened:
        return opened.read(len(ARROW_FILE)) == ARROW_FILE


def _split(file: Path, root: Path) -> str:
    """Return which split a file's name or folder means; else its name's beginning; "rows" for one file."""
    if file == root:
        return WHOLE
    known = _meant(file.relative_to(root).as_posix(), by_word=True)
    return known or re.sub(r"-\d+-of-\d+$", "", file.stem) or WHOLE


def _meant(name: str, *, by_word: bool = False) -> str:
    """Return the split that a name means, as "train" and "train[:10%]" do, or the last word in it; else ""."""
    plain = re.sub(r"\[.*\]$", "", name).lower()
    words = re.findall(r"[a-z]+", plain) if by_word else []
    return next((SPLIT_NAMES[word] for word in (plain, *reversed(words)) if word in SPLIT_NAMES), "")


def _named(path: Path, found: dict[str, list[Any]], notes: list[str]) -> Found:
    """Rename splits to train, valid and test; others are left out and reported."""
    parts: dict[str, list[Any]] = {}
    others: list[str] = []
    by_word = not any(_meant(name) == "train" for name in found)
    for name, pieces in found.items():
        known = _meant(name, by_word=by_word)
        if known in parts:
            raise BadData(f"{path} has two splits for {known}.", "Leave one of them out.")
        if known:
            parts[known] = pieces
        else:
            others.append(name)
    columns = {frozenset(piece.column_names) for pieces in found.values() for piece in pieces}
    if not parts and (len(found) == 1 or len(columns) == 1):
        if len(found) > 1:
            notes.append(f"Read together, and then split: {shortlist(others)}.")
        return Found({WHOLE: [piece for pieces in found.values() for piece in pieces]})
    if "train" not in parts:
        raise BadData(f"{path} has no split to train on: {shortlist(list(found))}.", "Name it train.")
    if others:
        notes.append(f"Splits that aren't used: {shortlist(others)}.")
    return Found(parts, unused=sum(piece.num_rows for name in others for piece in found[name]))


def _said(error: BaseException) -> str:
    """Return the first line of an error's first cause."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0].rstrip('.') if lines else 'no reason given'}"[:300]
