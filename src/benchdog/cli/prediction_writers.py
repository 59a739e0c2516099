"""Formats of predictions: aligned table, CSV, JSON lines."""

from __future__ import annotations

import csv
import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol

from benchdog.api import Answer, Spec, json_text
from benchdog.cli.prediction_files import FileName, PredictionFiles, Row, ShortArray
from benchdog.errors import BadUsage
from benchdog.system import files
from benchdog.system.escapes import encodable, one_line, printable

Writer = AbstractContextManager[Callable[[list[Answer]], None]]
LISTED = 4
"""Elements of a list shown in a table."""


def collected(answers: Iterable[list[Answer]], arrays: PredictionFiles) -> list[Row]:
    """Return all predictions as JSON rows."""
    return [_json_row(arrays.row(each)) for batch in answers for each in batch]


@contextmanager
def writer(
    fmt: str, spec: Spec, path: Path | None, arrays: PredictionFiles
) -> Iterator[Callable[[list[Answer]], None]]:
    """Yield a function that writes a batch of predictions, to stdout or to a file, which appears only on success.

    Args:
        fmt: table, csv or jsonl.
        spec: of the model.
        path: of the file; None for stdout.
        arrays: writes the predictions' arrays.
    """
    with _sink(path) as sink:
        formats: dict[str, Callable[[Sink, Spec], RowWriter]] = {"table": Table, "csv": Csv, "jsonl": Jsonl}
        rows = formats[fmt](sink, spec)

        def write(batch: list[Answer]) -> None:
            rows.write([arrays.row(each) for each in batch])

        yield write


class Sink(Protocol):
    """What rows are written to."""

    def write(self, text: str, /) -> object: ...


class _Stdout:
    """Standard output: for a terminal, control characters in names are escaped; for a program, bytes beyond UTF-8."""

    def write(self, text: str) -> None:
        sys.stdout.write(printable(text) if sys.stdout.isatty() else encodable(text))


@contextmanager
def _sink(path: Path | None) -> Iterator[Sink]:
    """Yield stdout, or a temporary file that is renamed to `path` at the end."""
    if path is None:
        yield _Stdout()
        return
    if path.is_dir():
        raise BadUsage(f"{path} is a folder.", "--out must be a file.")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with files.saving(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("w", encoding="utf-8", errors="backslashreplace", newline="") as sink:
                yield sink
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


class RowWriter(Protocol):
    """Writes rows in a format."""

    def write(self, rows: list[Row]) -> None: ...


class Table:
    """Aligned columns, as wide as the first batch needs. Nested values are shown only where there is nothing else."""

    def __init__(self, sink: Sink, spec: Spec) -> None:
        self._sink = sink
        self._widths: dict[str, int] = {}

    def write(self, rows: list[Row]) -> None:
        shown = [{key: _cell(value) for key, value in _visible(row).items()} for row in rows]
        if not self._widths and shown:
            self._widths = {key: max(len(key), *(len(row.get(key, "")) for row in shown)) for key in shown[0]}
            self._line({key: key for key in self._widths})
        for row in shown:
            self._line(row)

    def _line(self, row: Mapping[str, str]) -> None:
        cells = [row.get(key, "").ljust(width) for key, width in self._widths.items()]
        self._sink.write("  ".join(cells).rstrip() + "\n")


def _visible(row: Row) -> Row:
    plain = {
        key: value
        for key, value in row.items()
        if not isinstance(value, Mapping | list) or isinstance(value, ShortArray) or _is_list_of_str(value)
    }
    if len(plain) > 1 and not any(isinstance(value, FileName) for value in plain.values()):
        return plain
    nested = {name: each for value in row.values() if isinstance(value, Mapping) for name, each in value.items()}
    return plain | nested if nested or len(plain) > 1 else row


def _is_list_of_str(value: Any) -> bool:
    """Whether a value is a list of strings, as labels are: it is shown in full."""
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list) and not isinstance(value, ShortArray):
        more = ", ..." if len(value) > LISTED and not _is_list_of_str(value) else ""
        return ", ".join(map(_cell, value if _is_list_of_str(value) else value[:LISTED])) + more
    return "" if value is None else one_line(" ".join(str(value).split("\n")))


class Csv:
    """Comma-separated values; a mapping over all classes gets a column per class, other nested values are JSON."""

    def __init__(self, sink: Sink, spec: Spec) -> None:
        self._writer = csv.writer(sink, lineterminator="\n")
        self._classes = set(spec.target.classes)
        self._header: list[str] = []

    def write(self, rows: list[Row]) -> None:
        for row in map(self._flat, rows):
            if not self._header:
                self._header = list(row)
                self._writer.writerow(self._header)
            self._writer.writerow([row.get(key, "") for key in self._header])

    def _flat(self, row: Row) -> Row:
        flat: Row = {}
        for key, value in row.items():
            if isinstance(value, Mapping) and set(value) == self._classes:
                flat |= {f"{key}.{name}": each for name, each in value.items()}
            else:
                flat[key] = json_text(value) if isinstance(value, Mapping | list) else value
        return flat


class Jsonl:
    """JSON lines: an object per prediction."""

    def __init__(self, sink: Sink, spec: Spec) -> None:
        self._sink = sink

    def write(self, rows: list[Row]) -> None:
        for row in rows:
            self._sink.write(printable(json_text(_json_row(row))) + "\n")


def _json_row(row: Row) -> Row:
    """Convert NumPy values to plain ones, NaN and infinity to None."""

    def plain(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: plain(each) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return [plain(each) for each in value]
        value = value.item() if hasattr(value, "item") else value
        return None if isinstance(value, float) and not math.isfinite(value) else value

    return {key: plain(value) for key, value in row.items()}
