"""Splits by position: texts, images and rows of a table, read from Arrow when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchdog.api import (
    MAX_IMAGE_BYTES,
    BadData,
    Column,
    MissingWords,
    Raw,
    category_key,
    number,
    plain_newlines,
    read_regular,
)
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
        texts = [clean(text) for text in self.part.columns(indices)[self.field]]
        return (np.array(self.encode(texts), np.int64),), self.part.targets[np.asarray(indices)]


def clean(text: str) -> str:
    """Return a text as the decode operation reads it."""
    return plain_newlines(text).strip()


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

    def __init__(
        self,
        part: Part,
        field: str,
        columns: Sequence[Column],
        words: Mapping[str, Sequence[str]],
        missing: MissingWords,
    ) -> None:
        """Take the rows.

        Args:
            words: the classes of columns that hold their codes.
            missing: the words that mean a missing value.
        """
        self.part, self.field, self.described, self.words, self.missing = part, field, columns, words, missing
        self.id = part.id
        self.keys = {c.name: {category_key(word): i for i, word in enumerate(c.categories, 1)} for c in columns}
        self.codes: dict[str, dict[str | None, int]] = {c.name: {None: 0} for c in columns}
        self.absent = [value for word in missing.listed if (value := number(word)) is not None]

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
            cells = found[column.name]
            out[:, place] = self._numbers(cells) if column.kind == "number" else self._categories(column.name, cells)
        return (out,), self.part.targets[np.asarray(indices)]

    def _numbers(self, cells: Sequence[Any]) -> Array:
        values = np.array([np.nan if cell is None else cell for cell in cells], np.float64)
        if self.absent:
            values[np.isin(values, self.absent)] = np.nan
        return values

    def _categories(self, name: str, cells: Sequence[Any]) -> list[int]:
        codes, keys = self.codes[name], self.keys[name]
        plain = [self._plain(name, cell) for cell in cells]
        for cell in {*plain} - codes.keys():
            text = cell.strip()
            codes[cell] = 0 if text in self.missing else keys.get(category_key(text), 0)
        return [codes[cell] for cell in plain]

    def _plain(self, name: str, cell: Any) -> Any:
        """Return a class by its name, other cells as they are."""
        if cell is None or name not in self.words:
            return cell
        return self.words[name][cell] if 0 <= cell < len(self.words[name]) else None
