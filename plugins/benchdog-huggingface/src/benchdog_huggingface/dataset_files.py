"""Finding a data set on the disk: what save_to_disk wrote, or files of one kind, and the splits that they name."""

from __future__ import annotations

import glob
import re
from collections.abc import Container, Sequence
from pathlib import Path
from typing import Any

from benchdog.api import BadData, BadUsage
from benchdog_huggingface.offline import datasets

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
ARROW_FILE = b"ARROW1"
"""How a file in Arrow's file format begins."""


def read(path: Path | None, cache: Path, notes: list[str]) -> dict[str, list[Any]]:
    """Open a data set's splits: the pieces (datasets.Dataset) of train, valid and test, or those of "rows".

    The pieces of a split can differ in columns, types and class names: each has what its own file says.

    Args:
        cache: where the library keeps its Arrow copies of other files.

    Raises:
        BadUsage: no path.
        BadData: nothing there that can be read, or no split to train on.
    """
    if path is None:
        raise BadUsage("The source hf needs the path of a data set.", "Add --set source.path=PATH")
    if not path.exists():
        raise BadData(
            f"{path} doesn't exist.", "Pass what save_to_disk wrote, or a Parquet, Arrow, CSV or JSON file."
        )
    try:
        found = _saved(path) or _files(path, cache)
    except (BadData, BadUsage):
        raise
    except Exception as error:  # the library and pyarrow raise dozens of kinds for damaged files
        raise BadData(f"{path} can't be read: {_said(error)}.", "The file is damaged, or of another form.") from None
    return _named(path, found, notes)


def training_split(splits: Container[str]) -> str:
    """Return which of the data's splits is trained on."""
    return WHOLE if WHOLE in splits else "train"


def files_of(path: Path) -> list[Path]:
    """List a path's files in order, hidden ones aside: what tells whether the data was changed."""
    if path.is_file():
        return [path]
    return sorted(p for p in path.rglob("*") if p.is_file() and not p.name.startswith("."))


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


def _files(path: Path, cache: Path) -> dict[str, list[Any]]:
    files = [file for file in files_of(path) if file.suffix.lower() in READERS and file.name not in NO_DATA]
    kinds = sorted({file.suffix.lower() for file in files})
    endings = ", ".join(READERS)
    if not files:
        what = f"{path} holds no file" if path.is_dir() else f"{path} is no file"
        raise BadData(f"{what} that is read: {endings}.", "A folder that save_to_disk wrote is read too.")
    if len({READERS[kind] for kind in kinds}) > 1 or (len(kinds) > 1 and ".tsv" in kinds):
        raise BadData(
            f"{path} holds files of several kinds: {', '.join(kinds)}.", "Name one file, or a folder of one kind."
        )
    parts: dict[str, list[Path]] = {}
    for file in files:
        parts.setdefault(_split(file, path), []).append(file)
    return {name: _pieces(each, READERS[kinds[0]], cache) for name, each in parts.items()}


def _pieces(files: Sequence[Path], kind: str, cache: Path) -> list[Any]:
    """Open the files of a split: together as far as they say that they hold the same."""
    library = datasets()
    if kind == "arrow" and not any(map(_is_arrow_file, files)):  # in place, without a copy
        return [library.Dataset.from_file(str(file)) for file in files]
    pieces = []
    for features, group in _alike(files, kind):
        more: dict[str, Any] = {"features": features} if features else {}
        if group[0].suffix.lower() == ".tsv":
            more["sep"] = "\t"
        names = [glob.escape(file.absolute().as_posix()) for file in group]
        pieces.append(library.load_dataset(kind, data_files=names, split="train", cache_dir=str(cache), **more))
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


def _is_arrow_file(file: Path) -> bool:
    """Whether a file is in Arrow's file format (Feather), which unlike a stream is not read in place."""
    with file.open("rb") as opened:
        return opened.read(len(ARROW_FILE)) == ARROW_FILE


def _split(file: Path, root: Path) -> str:
    """Return which split a file's name or folder means; else its name's beginning; "rows" for one file."""
    if file == root:
        return WHOLE
    words = re.findall(r"[a-z]+", file.relative_to(root).as_posix().lower())
    given = [SPLIT_NAMES[word] for word in words if word in SPLIT_NAMES]
    return given[-1] if given else re.sub(r"-\d+-of-\d+$", "", file.stem) or WHOLE


def _named(path: Path, found: dict[str, list[Any]], notes: list[str]) -> dict[str, list[Any]]:
    """Give splits Benchdog's names; what isn't one of them is left out, and reported."""
    parts: dict[str, list[Any]] = {}
    others: list[str] = []
    for name, pieces in found.items():
        known = SPLIT_NAMES.get(name.lower(), "")
        if known in parts:
            raise BadData(f"{path} has two splits for {known}.", "Leave one of them out.")
        if known:
            parts[known] = pieces
        else:
            others.append(name)
    columns = {frozenset(piece.column_names) for pieces in found.values() for piece in pieces}
    if not parts and (len(found) == 1 or len(columns) == 1):
        if len(found) > 1:
            notes.append(f"Read together, and then split: {_few(others)}.")
        return {WHOLE: [piece for pieces in found.values() for piece in pieces]}
    if "train" not in parts:
        raise BadData(f"{path} has no split to train on: {_few(list(found))}.", "Name it train.")
    if others:
        notes.append(f"Splits that aren't used: {_few(others)}.")
    return parts


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _said(error: BaseException) -> str:
    """Return the first line of an error's first cause."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0].rstrip('.') if lines else 'no reason given'}"[:300]
