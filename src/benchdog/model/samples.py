"""Raw samples in an artifact's folder: chosen to cover the classes, stored to be looked at."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchdog.api import IMAGE_FORMATS, Raw
from benchdog.errors import BadData
from benchdog.system import files

FOLDER = "samples"
INDEX = "samples/index.json"
SUFFIXES = {signature: each.suffixes[0] for each in IMAGE_FORMATS for signature in each.signatures}
SUFFIXES[b"\x93NUMPY"] = ".npy"


def covering(raws: Iterable[Raw], count: int) -> list[Raw]:
    """Choose `count` samples that cover the classes as evenly as there are samples, first come first.

    Args:
        raws: the held-out samples; all are looked at, at most `count` per class are kept.
        count: how many; 0 gives none.
    """
    if count <= 0:
        return []
    kept: dict[object, list[Raw]] = defaultdict(list)
    for raw in raws:
        group = kept[_label(raw.target)]
        if len(group) < count:
            group.append(raw)
    chosen: list[Raw] = []
    for place in range(count):
        chosen += [group[place] for group in kept.values() if place < len(group)]
    return chosen[:count]


def _label(target: Any) -> object:
    """Return what groups samples: a class code; everything else is one group."""
    value = np.asarray(target) if target is not None else None
    return int(value) if value is not None and value.ndim == 0 and value.dtype.kind in "iu" else None


def write(folder: Path, raws: Iterable[Raw], suffixes: Mapping[str, str] | None = None) -> None:
    """Write samples/ into an artifact's folder: a file per field, and index.json with ids and targets.

    Args:
        suffixes: by field, that of files which a plugin decodes; others are told by how they begin.
    """
    index = []
    (folder / FOLDER).mkdir()
    for number, raw in enumerate(raws):
        fields = {
            name: _store(folder, f"{number:03d}-{name}", value, (suffixes or {}).get(name, ""))
            for name, value in raw.fields.items()
        }
        target = None if raw.target is None else _store(folder, f"{number:03d}-target", raw.target)
        index.append({"id": raw.id, "fields": fields, "target": target})
    files.write_json(folder / INDEX, index)


def _store(folder: Path, stem: str, value: Any, suffix: str = "") -> dict[str, Any]:
    """Keep a value in the index when it is small JSON, else in a file of its own."""
    if isinstance(value, str | int | float) or value is None:
        return {"value": value}
    if isinstance(value, Mapping):
        return {"value": {key: _plain(cell) for key, cell in value.items()}}
    if isinstance(value, bytes):
        suffix = suffix or next((s for magic, s in SUFFIXES.items() if value.startswith(magic)), ".bin")
        data = value
    else:
        array = np.asarray(value)
        if array.ndim == 0 and array.dtype.kind in "biuf":
            return {"value": array.item(), "dtype": str(array.dtype)}
        if array.dtype.kind not in "biuf":
            raise BadData(f"A sample holds {type(value).__name__}, which an artifact can't keep.", "Set samples = 0.")
        if isinstance(value, list | tuple):
            return {"value": array.tolist()}
        buffer = io.BytesIO()
        np.save(buffer, array, allow_pickle=False)
        suffix, data = ".npy", buffer.getvalue()
    name = f"{FOLDER}/{stem}{suffix}"
    files.write_bytes(folder / name, data)
    return {"file": name, "array": suffix == ".npy" and not isinstance(value, bytes)}


def _plain(cell: Any) -> Any:
    """Return a table's cell as JSON has it."""
    return cell.item() if isinstance(cell, np.generic) else cell


def read(folder: Path) -> list[Raw]:
    """Read the samples of an artifact; [] when it keeps none.

    Raises:
        BadData: the index or a file is missing or damaged.
    """
    if not (folder / INDEX).is_file():
        return []
    try:
        return [
            Raw(
                id=str(entry["id"]),
                fields={name: _load(folder, stored) for name, stored in entry["fields"].items()},
                target=None if entry["target"] is None else _load(folder, entry["target"]),
            )
            for entry in files.read_json(folder / INDEX)
        ]
    except (KeyError, TypeError, ValueError, AttributeError, OSError) as error:
        raise BadData(
            f"{folder / INDEX} can't be read: {error}.", "The artifact is damaged: train it again."
        ) from None


def _load(folder: Path, stored: Mapping[str, Any]) -> Any:
    if "file" not in stored:
        return np.asarray(stored["value"], stored["dtype"])[()] if "dtype" in stored else stored["value"]
    data = (folder / FOLDER / Path(stored["file"]).name).read_bytes()
    return np.load(io.BytesIO(data), allow_pickle=False) if stored["array"] else data
