"""Arrays in predictions: a file each in the folder of --out, a list where they are short, else named as not shown."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from benchdog.errors import BadUsage
from benchdog.model.value_files import arrays_in
from benchdog.plugins.scaffold import DEVICES
from benchdog.strict_json import json_text
from benchdog.system import files

if TYPE_CHECKING:
    import numpy as np

    from benchdog.api import Answer
    from benchdog.model.value_files import ValueFiles

Row = dict[str, Any]
LONGEST = 100
"""Bytes of a file's name that come from a sample's id: file systems allow 255 for all of it."""


class ShortArray(list[Any]):
    """A short array as nested lists; a table shows it as JSON."""

    def __str__(self) -> str:
        return json_text(self)


class FileName(str):
    """The name of an array's file in the folder of --out."""


class PredictionFiles:
    """Turns predictions into rows of JSON's types.

    Args:
        values: encodes the arrays.
        folder: where the files go; None leaves longer arrays out, and `notes` names them.
        reserved: names in the folder that are taken.
        as_lists: whether all arrays become lists where there is no folder.
    """

    def __init__(
        self, values: ValueFiles, folder: Path | None, reserved: Sequence[str] = (), as_lists: bool = False
    ) -> None:
        self._values, self._folder, self._as_lists = values, folder, as_lists
        self._used = {name.casefold() for name in reserved}
        self._left_out: dict[str, str] = {}
        self._refused: dict[tuple[str, str], str] = {}

    def row(self, answer: Answer) -> Row:
        """Return id and values of a prediction, each array as a list or as the name of its file."""
        row: Row = {"id": answer.id}
        filed = [name for name, value in answer.values.items() if self._long_arrays(name, value)]
        for name, value in answer.values.items():
            if name in filed and self._folder is None and not self._as_lists:
                first = self._long_arrays(name, value)[0]
                size = " x ".join(map(str, first.shape))
                self._left_out.setdefault(name, f"{name} ({self._values.kind(name, first)}, {first.dtype} {size})")
            else:
                row[name] = self._told(answer, name, value, f"-{name}" if len(filed) > 1 else "")
        return row

    def _long_arrays(self, name: str, value: Any) -> list[np.ndarray]:
        return [array for array in arrays_in(value) if not self._values.as_list(name, array)]

    def _told(self, answer: Answer, name: str, value: Any, part: str) -> Any:
        """Return a value with its arrays replaced; those in a list or a mapping are numbered or named."""
        import numpy as np

        if isinstance(value, Mapping):
            return {key: self._told(answer, name, each, f"{part}-{key}") for key, each in value.items()}
        if isinstance(value, list | tuple):
            return [self._told(answer, name, each, f"{part}-{i}") for i, each in enumerate(value)]
        if not isinstance(value, np.ndarray):
            return value
        if self._folder is None or self._values.as_list(name, value):
            return ShortArray(value.tolist()) if value.ndim else value.item()
        encoded = self._values.encode(name, value, answer)
        if encoded.refused:
            self._refused.setdefault((name, encoded.suffix), encoded.refused)
        file = self._free_name(file_stem(answer.id) + safe(part), encoded.suffix)
        files.write_bytes(self._folder / file, encoded.data)
        return FileName(file)

    def _free_name(self, stem: str, suffix: str) -> str:
        """Return a name that no other file has, whatever the case of its letters."""
        name, number = f"{stem}{suffix}", 1
        while name.casefold() in self._used:
            number += 1
            name = f"{stem}-{number}{suffix}"
        self._used.add(name.casefold())
        return name

    def notes(self) -> Iterator[str]:
        """Yield what isn't shown, and which files have another format than usual, and why."""
        if self._left_out:
            yield f"Not shown: {', '.join(self._left_out.values())}. Add --out FOLDER: a file for each."
        for writer, kind in self._values.unused().items():
            if not self._left_out:
                yield f"The writer {writer!r} wasn't used: no prediction has a value of the kind {kind!r}."
        for (name, suffix), reason in self._refused.items():
            yield f"{name} is written as {suffix}: {reason}"


def output_folder(out: Path | None, first: Sequence[Answer], values: ValueFiles) -> Path | None:
    """Return --out if it is to be a folder: if arrays of these predictions become files. None if it is a file.

    Raises:
        BadUsage: it would be a folder, and is a file.
    """
    names = {
        name: None
        for answer in first
        for name, value in answer.values.items()
        if not all(values.as_list(name, array) for array in arrays_in(value))
    }
    if out is None or not names:
        return None
    if out.is_file():
        raise BadUsage(f"{out} is a file.", f"Predictions have arrays ({', '.join(names)}): --out must be a folder.")
    return out


def file_stem(identity: str) -> str:
    """Return a name for the files of a sample that is safe on every system, from an id that anybody wrote."""
    path = PurePosixPath(identity.replace("\\", "/"))
    return safe(path.stem).lstrip("-") or "prediction"


def safe(text: str) -> str:
    """Return letters, digits, dashes and inner dots; no name of a device, not too long."""
    kept = re.sub(r"[^\w.-]", "-", text).strip(".")
    while len(kept.encode()) > LONGEST:
        kept = kept[:-1]
    return f"_{kept}" if DEVICES.fullmatch(kept.partition(".")[0].casefold()) else kept
