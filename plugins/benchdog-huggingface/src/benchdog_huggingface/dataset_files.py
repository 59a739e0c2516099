"""Finding a data set on the disk: what save_to_disk wrote, or files of one kind, and the splits that they name."""

from __future__ import annotations

import glob
import re
from collections.abc import Sequence
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
    "test": "test",
}  # fmt: skip
"""Words that name a split."""
WHOLE = "rows"
"""The only split of what isn't divided."""
SAVED = ("dataset_dict.json", "state.json")
"""What save_to_disk writes into its folder: of several splits, of one."""
NO_DATA = (
    "dataset_info.json", "dataset_infos.json", "config.json", "generation_config.json", "tokenizer.json",
    "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json",
)  # fmt: skip
"""Files next to data, or of a model in the same folder, that are not data."""


def read(path: Path | None, cache: Path, notes: list[str]) -> dict[str, Any]:
    """Open a data set's splits: a datasets.Dataset by train, valid and test, or one by "rows".

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
        found = _saved(path) if any((path / name).is_file() for name in SAVED) else _files(path, cache)
    except (BadData, BadUsage):
        raise
    except Exception as error:  # the library and pyarrow raise dozens of kinds for damaged files
        raise BadData(f"{path} can't be read: {_said(error)}.", "The file is damaged, or of another form.") from None
    return _named(path, found, notes)


def files_of(path: Path) -> list[Path]:
    """List a path's files in order, hidden ones aside: what tells whether the data was changed."""
    if path.is_file():
        return [path]
    return sorted(p for p in path.rglob("*") if p.is_file() and not p.name.startswith("."))


def _saved(path: Path) -> dict[str, Any]:
    library = datasets()
    found = library.load_from_disk(str(path), keep_in_memory=False)
    return dict(found) if isinstance(found, library.DatasetDict) else {WHOLE: found}


def _files(path: Path, cache: Path) -> dict[str, Any]:
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
    library = datasets()
    if kinds == [".arrow"]:  # in place, without a copy
        return {
            name: library.concatenate_datasets([library.Dataset.from_file(str(file)) for file in each])
            for name, each in parts.items()
        }
    more = {"sep": "\t"} if kinds == [".tsv"] else {}
    # The library allows few names for splits, so these are numbered.
    named = {
        f"s{i}": [glob.escape(file.absolute().as_posix()) for file in each] for i, each in enumerate(parts.values())
    }
    found = library.load_dataset(READERS[kinds[0]], data_files=named, cache_dir=str(cache), **more)
    return dict(zip(parts, (found[name] for name in named), strict=True))


def _split(file: Path, root: Path) -> str:
    """Return which split a file's name or folder means; else its name's beginning; "rows" for one file."""
    if file == root:
        return WHOLE
    words = re.findall(r"[a-z]+", file.relative_to(root).as_posix().lower())
    given = [SPLIT_NAMES[word] for word in words if word in SPLIT_NAMES]
    return given[-1] if given else re.sub(r"-\d+-of-\d+$", "", file.stem) or WHOLE


def _named(path: Path, found: dict[str, Any], notes: list[str]) -> dict[str, Any]:
    """Give splits Benchdog's names; what isn't one of them is left out, and told."""
    parts: dict[str, Any] = {}
    others: list[str] = []
    for name, part in found.items():
        known = SPLIT_NAMES.get(name.lower(), "")
        if known in parts:
            raise BadData(f"{path} has two splits for {known}.", "Leave one of them out.")
        if known:
            parts[known] = part
        else:
            others.append(name)
    if not parts and len(others) == 1:
        return {WHOLE: found[others[0]]}
    if not parts and all(part.features == found[others[0]].features for part in found.values()):
        return {WHOLE: datasets().concatenate_datasets(list(found.values()))}
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
