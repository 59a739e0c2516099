"""Splits by position: texts, images and rows of a table, read from Arrow when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchdog.api import MAX_IMAGE_BYTES, BadData, Column, Raw, read_regular
from benchdog_huggingface.columns import Array


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """Some rows of a datasets.Dataset: `name` is its split, `at` the rows, `targets` theirs."""

    data: Any
    name: str
    at: Array
    targets: Array

    def id(self, i: int) -> str:
        """Name a row by its split and its number in the data."""
        return f"{self.name}[{self.at[i]}]"

    def columns(self, indices: Sequence[int]) -> dict[str, list[Any]]:
        """Return rows as columns."""
        found: dict[str, list[Any]] = self.data[self.at[np.asarray(indices)].tolist()]
        return found

    def row(self, i: int) -> dict[str, Any]:
        """Return one row."""
        found: dict[str, Any] = self.data[int(self.at[i])]
        return found


class Texts:
    """Texts, and their tokens where many are asked for at once."""

    def __init__(self, part: Part, field: str, encode: Callable[[Sequence[str]], list[list[int]]]) -> None:
        self.part, self.field, self.encode = part, field, encode
        self.id = part.id

    def __len__(self) -> int:
        return len(self.part.at)

    def raw(self, i: int) -> Raw:
        """Return a text and its target."""
        return Raw(id=self.id(i), fields={self.field: self.part.row(i)[self.field]}, target=self.part.targets[i])

    def batch(self, indices: Sequence[int]) -> tuple[tuple[Array], Array]:
        """Return codes ((B, length),) int64 and targets (B,)."""
        texts = list(self.part.columns(indices)[self.field])
        return (np.array(self.encode(texts), np.int64),), self.part.targets[np.asarray(indices)]


class Images:
    """Images as the bytes of their files; they are decoded by whoever reads them."""

    def __init__(self, part: Part, field: str) -> None:
        self.part, self.field = part, field
        self.id = part.id

    def __len__(self) -> int:
        return len(self.part.at)

    def raw(self, i: int) -> Raw:
        """Return an image's bytes and its target."""
        data = bytes_of(self.part.row(i)[self.field], self.id(i))
        return Raw(id=self.id(i), fields={self.field: data}, target=self.part.targets[i])


def bytes_of(image: Mapping[str, Any], name: str) -> bytes:
    """Return an image's bytes: they are in the data, or in the file that it names."""
    if image.get("bytes"):
        return bytes(image["bytes"])
    try:
        return read_regular(image["path"], MAX_IMAGE_BYTES)
    except OSError as error:
        raise BadData(f"Sample {name!r}: {image['path']} can't be read: {error.strerror or error}.") from None


class Table:
    """Rows of numbers and categories."""

    def __init__(self, part: Part, field: str, columns: Sequence[Column], words: Mapping[str, Sequence[str]]) -> None:
        """Take the rows.

        Args:
            words: the classes of columns that hold their codes.
        """
        self.part, self.field, self.described, self.words = part, field, columns, words
        self.id = part.id
        self.codes = {c.name: {word: i for i, word in enumerate(c.categories, 1)} for c in columns if c.categories}

    def __len__(self) -> int:
        return len(self.part.at)

    def raw(self, i: int) -> Raw:
        """Return a row by column, categories as texts."""
        found = self.part.row(i)
        row = {c.name: self._plain(c.name, found[c.name]) for c in self.described}
        return Raw(id=self.id(i), fields={self.field: row}, target=self.part.targets[i])

    def batch(self, indices: Sequence[int]) -> tuple[tuple[Array], Array]:
        """Return rows ((B, columns),) float32, NaN and 0 for missing, and targets (B,)."""
        found = self.part.columns(indices)
        out = np.empty((len(indices), len(self.described)), np.float32)
        for place, column in enumerate(self.described):
            out[:, place] = self._column(column, found[column.name], indices)
        return (out,), self.part.targets[np.asarray(indices)]

    def _column(self, column: Column, cells: Sequence[Any], indices: Sequence[int]) -> Array:
        if column.categories:
            codes = self.codes[column.name]
            plain = (self._plain(column.name, cell) for cell in cells)
            return np.array([0 if cell is None else codes.get(cell.strip(), 0) for cell in plain], np.float32)
        with np.errstate(over="ignore"):
            values = np.array([np.nan if cell is None else cell for cell in cells], np.float64).astype(np.float32)
        if np.isinf(values).any():
            row = int(np.flatnonzero(np.isinf(values))[0])
            raise BadData(f"Sample {self.id(int(indices[row]))!r}: column {column.name!r} is not a finite number.")
        return values

    def _plain(self, name: str, cell: Any) -> Any:
        """Give a class by its name, other cells as they are."""
        if cell is None or name not in self.words:
            return cell
        return self.words[name][cell] if 0 <= cell < len(self.words[name]) else None
