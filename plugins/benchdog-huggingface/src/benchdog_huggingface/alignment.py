"""Bringing a data set's files and splits to one form: the columns, types and class names of the training split."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchdog.api import BadData
from benchdog_huggingface.columns import WHOLE_NUMBERS, Array, Chosen, kind_of, same_name
from benchdog_huggingface.dataset_files import training_split
from benchdog_huggingface.offline import datasets

MISSING, UNKNOWN = -1, -2
"""Codes of cells without a value, and of names that the training split lacks."""


def declared(splits: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """Return the feature of each column of the training split; classes of all its files, in the first one's order."""
    found: dict[str, Any] = {}
    for piece in splits[training_split(splits)]:
        for name, own in piece.features.items():
            known, feature = found.get(name), _without_decimals(own)
            if known is None or _is_null(known):
                found[name] = feature
            elif kind_of(known) == kind_of(feature) == "class":
                found[name] = _united(known, feature)
    return found


def aligned(
    splits: Mapping[str, Sequence[Any]], features: Mapping[str, Any], chosen: Chosen, notes: list[str]
) -> dict[str, Any]:
    """Return each split's files as one data set of the columns that are used; class codes are translated by name.

    Args:
        features: those of the training split, as it declares them. Numbers get a type that holds those of every file.

    Raises:
        BadData: a column is missing, of another kind, or has classes that the training split lacks.
    """
    library = datasets()
    pieces = [piece.features for pieces in splits.values() for piece in pieces]
    wanted = library.Features()
    for name in (*chosen.inputs, chosen.target):
        wanted[name] = _stored(_widened(features[name], [each[name] for each in pieces if name in each]))
    found = {}
    for split, each in splits.items():
        whole = [_aligned(piece, split, wanted, chosen.target, notes) for piece in each]
        found[split] = whole[0] if len(whole) == 1 else library.concatenate_datasets(whole)
    return found


def _aligned(piece: Any, split: str, wanted: Any, target: str, notes: list[str]) -> Any:
    lacking = [name for name in wanted if name not in piece.features and name != target]
    if lacking:
        raise BadData(
            f"{split} has no column {lacking[0]!r}, which the training data has.",
            f"Add it, or leave it out everywhere: --set 'source.drop=[\"{lacking[0]}\"]'",
        )
    rows = piece.select_columns([name for name in wanted if name in piece.features]).with_format(None)
    for name, feature in rows.features.items():
        if kind_of(feature) == "image":
            rows = rows.cast_column(name, _stored(feature))
    own = rows.features
    if all(own.get(name) == feature for name, feature in wanted.items()):
        return rows
    import pyarrow as pa

    schema = wanted.arrow_schema
    cells = rows.with_format("arrow")[:]
    arrays = []
    for name, feature in wanted.items():
        if name not in own:
            arrays.append(pa.nulls(len(piece), schema.field(name).type))
            continue
        column = _Column(name, split, own[name], feature, is_target=name == target)
        arrays.append(column.read(cells.column(name), schema.field(name).type, notes))
    library = datasets()
    table = library.table.InMemoryTable(pa.table(arrays, schema=schema))
    return library.Dataset(table, fingerprint=library.fingerprint.generate_random_fingerprint())


class _Column:
    """A column of a file, and the feature that it has in the training split."""

    def __init__(self, name: str, split: str, own: Any, wanted: Any, *, is_target: bool) -> None:
        self.name, self.split, self.own, self.wanted, self.is_target = name, split, own, wanted, is_target

    def read(self, cells: Any, kind: Any, notes: list[str]) -> Any:
        """Return the cells as an Arrow array of the type `kind`."""
        import pyarrow as pa
        import pyarrow.compute as pc

        have, want = kind_of(self.own), kind_of(self.wanted)
        if self.own == self.wanted:
            return cells
        if _is_null(self.own):
            return pa.nulls(len(cells), kind)
        if have == want and have in ("number", "text"):
            return cells.cast(kind)
        if {have, want} <= {"class", "text"}:
            return self._by_name(cells, kind, notes)
        largest = pc.max(cells).as_py() if have in ("number", "class") else 0
        if self.is_target and (largest is None or largest < 0):  # no row has a label, whatever they mean
            return pa.nulls(len(cells), kind)
        raise BadData(
            f"{self.name!r} holds {_described(self.own)} in {self.split}, but {_described(self.wanted)} in the "
            "training data.",
            "Save all splits with the same features: dataset.cast(features) of the library datasets.",
        )

    def _by_name(self, cells: Any, kind: Any, notes: list[str]) -> Any:
        """Translate classes by their names."""
        import pyarrow as pa

        names, codes = self._named(cells)
        if kind_of(self.wanted) == "text":
            return pa.array(names, kind).take(pa.array(codes, mask=codes < 0))
        place = {same_name(name): code for code, name in enumerate(self.wanted.names)}
        known = [place.get(same, UNKNOWN) if (same := same_name(name)) else MISSING for name in names]
        table = np.array([*known, MISSING], np.int64)
        found = table[codes]  # a missing cell's code, -1, is that of the last entry
        unknown, counts = np.unique(codes[found == UNKNOWN], return_counts=True)
        if len(unknown):
            self._report([names[code] for code in unknown], int(counts.sum()), notes)
        return pa.array(found, kind, mask=found < 0)

    def _report(self, unknown: Sequence[str], rows: int, notes: list[str]) -> None:
        """Refuse classes of the target that the training data doesn't name; report those of an input."""
        shown = ", ".join(map(repr, unknown[:5])) + (f" and {len(unknown) - 5} more" if len(unknown) > 5 else "")
        if self.is_target:
            raise BadData(
                f"{self.split} has {rows:,} rows of {self.name!r} = {shown}, which is not a class of the training "
                f"data: {', '.join(self.wanted.names[:10])}.",
                "Rename the classes, or leave those rows out.",
            )
        notes.append(f"{self.split}: {self.name!r} is {shown} in {rows:,} rows, never in training: read as missing.")

    def _named(self, cells: Any) -> tuple[list[str], Array]:
        """Return the names that occur, and each row's position among them (N,) int64, MISSING without one."""
        import pyarrow.compute as pc

        if kind_of(self.own) == "class":
            names = list(self.own.names)
            codes = pc.fill_null(cells, MISSING).to_numpy().astype(np.int64)
            if len(codes) and codes.max() >= len(names):
                raise BadData(f"{self.split}: {self.name!r} has the code {codes.max()}, which has no name.")
            return names, np.maximum(codes, MISSING)
        encoded = cells.combine_chunks().dictionary_encode()
        names = encoded.dictionary.to_pylist()
        return names, pc.fill_null(encoded.indices, MISSING).to_numpy(zero_copy_only=False).astype(np.int64)


def _stored(feature: Any) -> Any:
    """Return the feature by which cells are read: an image as the bytes of its file."""
    return type(feature)(decode=False) if kind_of(feature) == "image" else feature


def _united(first: Any, second: Any) -> Any:
    """Return the class labels of two files of one split: those of the first, then what the second adds."""
    known = {same_name(name) for name in first.names}
    more = [name for name in second.names if same_name(name) not in known]
    return type(first)(names=[*first.names, *more]) if more else first


def _widened(feature: Any, others: Sequence[Any]) -> Any:
    """Return a type for the numbers or texts of all files."""
    kind = kind_of(feature)
    if kind not in ("number", "text"):
        return feature
    types = {_without_decimals(each).dtype for each in others if kind_of(each) == kind}
    value = type(feature)
    if kind == "text":
        return feature if len(types) == 1 else value("large_string")
    if len(types) == 1:
        return feature
    return value("int64" if types <= {*WHOLE_NUMBERS, "bool"} else "float64")


def _without_decimals(feature: Any) -> Any:
    """Return the integer or float type that replaces a decimal type."""
    parts = re.fullmatch(r"decimal[0-9]+\(([0-9]+), (-?[0-9]+)\)", getattr(feature, "dtype", ""))
    if parts is None:
        return feature
    return type(feature)("int64" if int(parts[2]) == 0 and int(parts[1]) <= 18 else "float64")


def _is_null(feature: Any) -> bool:
    return getattr(feature, "dtype", "") == "null"


def _described(feature: Any) -> str:
    names = {"class": "class labels", "text": "texts", "number": "plain numbers", "image": "images"}
    found = names.get(kind_of(feature), repr(feature))
    return f"{found} ({', '.join(feature.names[:5])})" if found == "class labels" else found
