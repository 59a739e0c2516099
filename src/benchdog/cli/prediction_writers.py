"""Writers of predictions: aligned table, CSV, JSON lines; masks as PNG or .npy files."""

from __future__ import annotations

import csv
import io
import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from benchdog.api import Answer, Spec, json_text
from benchdog.errors import BadUsage
from benchdog.system import files
from benchdog.system.escapes import encodable, one_line, printable

if TYPE_CHECKING:
    import numpy as np

Writer = AbstractContextManager[Callable[[list[Answer]], None]]
Row = dict[str, Any]
LISTED = 4
"""Elements of a list shown in a table."""
PALETTE = (
    (0, 0, 0), (230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0),
    (204, 121, 167), (255, 255, 255), (128, 128, 128),
)  # fmt: skip
"""RGB colors of a mask's classes, color-blind safe (Okabe and Ito)."""


def collected(answers: Iterable[list[Answer]], spec: Spec, out: Path | None) -> list[Row]:
    """Return all predictions as JSON rows; masks are written into the folder `out`, or left out."""
    masks = Masks(_folder(spec, out))
    return [_json_row(masks.stored(each)) for batch in answers for each in batch]


@contextmanager
def writer(fmt: str, spec: Spec, out: Path | None) -> Iterator[Callable[[list[Answer]], None]]:
    """Yield a function that writes a batch of predictions, to stdout or to `out`, which appears only on success.

    Args:
        fmt: table, csv or jsonl.
        out: a file; for masks a folder, which receives an image per mask and answers.<fmt>.
    """
    folder = _folder(spec, out)
    masks = Masks(folder)
    suffix = "txt" if fmt == "table" else fmt
    path = folder / f"answers.{suffix}" if folder else out
    with _sink(path) as sink:
        formats: dict[str, Callable[[Sink, Spec], RowWriter]] = {"table": Table, "csv": Csv, "jsonl": Jsonl}
        rows = formats[fmt](sink, spec)

        def write(batch: list[Answer]) -> None:
            rows.write([masks.stored(each) for each in batch])

        yield write


def _folder(spec: Spec, out: Path | None) -> Path | None:
    """Return `out` if masks go into it; None for other predictions."""
    if out is None or spec.target.kind != "mask":
        return None
    if out.is_file():
        raise BadUsage(f"{out} is a file.", "Masks are images: --out must be a folder.")
    return out


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


class Masks:
    """Turns predictions into rows; arrays are saved as files in a folder, or left out without one."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._used: set[str] = set()

    def stored(self, answer: Answer) -> Row:
        """Return id and values of a prediction, arrays replaced by the names of their files."""
        import numpy as np

        row: Row = {"id": answer.id}
        for name, value in answer.values.items():
            if not isinstance(value, np.ndarray):
                row[name] = value
            elif self._folder is not None:
                row[name] = self._store(answer.id, value, self._folder)
        return row

    def _store(self, identity: str, array: np.ndarray, folder: Path) -> str:
        stem = "".join(c if c.isalnum() or c in "-_." else "-" for c in Path(identity).stem) or "mask"
        flat = array.ndim == 2 and array.dtype.name == "uint8"
        name, number = f"{stem}{'.png' if flat else '.npy'}", 1
        while name in self._used:
            number += 1
            name = f"{stem}-{number}{'.png' if flat else '.npy'}"
        self._used.add(name)
        files.write_bytes(folder / name, _png(array) if flat else _npy(array))
        return name


def _png(mask: np.ndarray) -> bytes:
    """Encode a mask (H, W) of class indices as a palette PNG: its pixels are the indices."""
    from PIL import Image

    image = Image.fromarray(mask)
    image.putpalette([channel for code in range(256) for channel in PALETTE[code % len(PALETTE)]])
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _npy(array: np.ndarray) -> bytes:
    import numpy as np

    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


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
        key: value for key, value in row.items() if not isinstance(value, Mapping | list) or _is_list_of_str(value)
    }
    if len(plain) > 1 and not any(
        str(value).endswith((".png", ".npy")) for key, value in plain.items() if key != "id"
    ):
        return plain
    nested = {name: each for value in row.values() if isinstance(value, Mapping) for name, each in value.items()}
    return plain | nested if nested or len(plain) > 1 else row


def _is_list_of_str(value: Any) -> bool:
    """Whether a value is a list of strings, as labels are: it is shown in full."""
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
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
