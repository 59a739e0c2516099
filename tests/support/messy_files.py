"""Messy files: the same data as people's tools write it, and files that nothing can read. Fixed seeds.

Each variant is a function from the plain content to the bytes of a file. `same` variants hold the values of the plain
file; `broken` ones must be refused by everything that reads them.
"""

from __future__ import annotations

import csv
import gzip
import io
import random
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image

Rows = list[list[str]]


@dataclass(frozen=True)
class Variant:
    """A messy file: its name, its content, and whether it holds the plain file's values or must be refused."""

    name: str
    content: bytes
    same: bool


# --- tables


def table_rows() -> Rows:
    """Return the plain table: a header and 60 rows; `rooms` has empty cells."""
    random_ = random.Random(7)
    rows = [["size", "rooms", "kind", "garden", "price"]]
    for number in range(60):
        size = 40 + 2 * random_.randrange(60)
        rooms = "" if number % 9 == 4 else str(random_.randint(1, 6))
        kind = ("flat", "house", "maison mitoyenne", "château")[number % 4]
        rows.append([f"{size}.5", rooms, kind, ("yes", "no")[number % 2], f"{3 * size + random_.randint(0, 20)}.25"])
    return rows


def written(rows: Rows, separator: str = ",", end: str = "\n", quoting: int = csv.QUOTE_MINIMAL) -> str:
    """Return a table as text."""
    out = io.StringIO()
    csv.writer(out, delimiter=separator, lineterminator=end, quoting=quoting).writerows(rows)  # type: ignore[arg-type]
    return out.getvalue()


def _cells(change: Callable[[str], str], column: str | None = None) -> Callable[[Rows], Rows]:
    """Return a change of the cells below the header, of one column or of all."""

    def changed(rows: Rows) -> Rows:
        at = range(len(rows[0])) if column is None else [rows[0].index(column)]
        return [rows[0], *([change(cell) if j in at else cell for j, cell in enumerate(row)] for row in rows[1:])]

    return changed


MISSING_WORDS = (
    "NA", "na", "N/A", "n.a.", "nan", "NaN", "-nan", "null", "NULL", "None", "nil", "?", "-", "--", ".", "#N/A",
    "#DIV/0!", "#VALUE!", "<NA>", "NaT", r"\N", "-1.#IND", "(null)", " ", "\t",
)  # fmt: skip

ROW_CHANGES: dict[str, Callable[[Rows], Rows]] = {
    "decomposed accents": _cells(lambda cell: unicodedata.normalize("NFD", cell)),
    "integers as floats": _cells(lambda cell: f"{cell}.0" if cell else cell, "rooms"),
    "plus signs": _cells(lambda cell: f"+{cell}" if cell else cell, "rooms"),
    "exponents": _cells(lambda cell: f"{cell}e+00" if cell else cell, "rooms"),
    "leading zeros": _cells(lambda cell: f"00{cell}", "size"),
    "spaces around cells": _cells(lambda cell: f"  {cell} "),
    "no-break spaces": _cells(lambda cell: f"\u00a0{cell}\u00a0"),
    "spaces around names": lambda rows: [[f" {name} " for name in rows[0]], *rows[1:]],
    "an index column": lambda rows: [["", *rows[0]], *([str(i), *row] for i, row in enumerate(rows[1:]))],
    "a separator at the end of each line": lambda rows: [[*row, ""] for row in rows],
    "rows of separators": lambda rows: [r for row in rows for r in (row, [""] * len(row))],
    "rows of spaces": lambda rows: [r for row in rows for r in (row, ["  "] * len(row))],
}
"""Changes that keep a table's values, in an order in which several of them keep it too."""

TEXT_CHANGES: dict[str, Callable[[str], str]] = {
    "CR LF": lambda text: text.replace("\n", "\r\n"),
    "CR": lambda text: text.replace("\n", "\r"),
    "no line end at the end": lambda text: text.rstrip("\n"),
    "blank lines": lambda text: text.replace("\n", "\n\n"),
    "lines of spaces": lambda text: text.replace("\n", "\n   \n"),
    "blank lines on top": lambda text: f"\n\n{text}",
    "blank lines at the end": lambda text: f"{text}\n\n \n",
    "byte order mark": lambda text: f"\ufeff{text}",
    "Excel's sep line": lambda text: f"sep=,\n{text}",
}


def tables() -> Iterator[Variant]:
    """Yield the messy tables."""
    plain = table_rows()
    for name, change in ROW_CHANGES.items():
        yield Variant(f"{name}.csv", written(change(plain)).encode(), True)
    for name, rewrite in TEXT_CHANGES.items():
        yield Variant(f"{name}.csv", rewrite(written(plain)).encode(), True)
    for word in MISSING_WORDS:
        gaps = _cells(lambda cell, word=word: cell or word, "rooms")(plain)  # type: ignore[misc]
        yield Variant(f"missing as {word.encode().hex()}.csv", written(gaps).encode(), True)
    for separator, suffix in ((";", "csv"), ("\t", "tsv"), ("|", "csv"), ("\t", "csv"), (",", "CSV")):
        yield Variant(f"separator {ord(separator)}.{suffix}", written(plain, separator).encode(), True)
    yield Variant("quoted.csv", written(plain, quoting=csv.QUOTE_ALL).encode(), True)
    yield Variant("quoted, semicolons.csv", written(plain, ";", "\r\n", csv.QUOTE_ALL).encode("utf-8-sig"), True)
    yield from _combinations(plain, 40)
    yield from _broken_tables(plain)


def _combinations(plain: Rows, count: int) -> Iterator[Variant]:
    """Yield tables with several changes each."""
    lines = [name for name in TEXT_CHANGES if name not in ("Excel's sep line", "CR")]
    for seed in range(count):
        random_ = random.Random(seed)
        rows = plain
        chosen = random_.sample(list(ROW_CHANGES), random_.randint(1, 3))
        for name in sorted(chosen, key=list(ROW_CHANGES).index):
            rows = ROW_CHANGES[name](rows)
        quoting = random_.choice((csv.QUOTE_MINIMAL, csv.QUOTE_ALL))
        text = written(rows, random_.choice(",;\t"), "\n", quoting)
        for name in random_.sample(lines, random_.randint(0, 2)):
            text = TEXT_CHANGES[name](text)
        text = text.replace("\r\n", "\n").replace("\n", random_.choice(("\n", "\r\n")))
        yield Variant(f"combination {seed}.csv", text.encode(), True)


def _broken_tables(plain: Rows) -> Iterator[Variant]:
    text = written(plain)
    broken = {
        "empty": b"",
        "only blank lines": b"\n\n  \n",
        "only names": text.partition("\n")[0].encode(),
        "Latin-1": text.encode("latin-1"),
        "a NUL": text.replace("flat", "fl\0at", 1).encode(),
        "a row too long": text.replace("flat", "flat,flat", 1).encode(),
        "a row too short": text.replace("flat,", "", 1).encode(),
        "an unclosed quotation mark": text.replace("flat", '"flat', 1).encode(),
        "a zip archive": b"PK\x03\x04" + bytes(range(256)),
        "gzip": gzip.compress(text.encode(), mtime=0),
        "infinity": _with(plain, "size", "inf"),
        "too large": _with(plain, "size", "1e999"),
        "thousands of digits": _with(plain, "size", "9" * 5000),
        "a word among numbers": _with(plain, "size", "large"),
        "below a limit": _with(plain, "size", "<5"),
        "an underscore": _with(plain, "size", "1_000"),
        "a unit": _with(plain, "size", "50 m2"),
    }
    for name, content in broken.items():
        yield Variant(f"{name}.csv", content, False)


def _with(rows: Rows, column: str, cell: str) -> bytes:
    """Return the table with one other cell."""
    at = rows[0].index(column)
    third = [*rows[3][:at], cell, *rows[3][at + 1 :]]
    return written([*rows[:3], third, *rows[4:]]).encode()


# --- texts


def labeled_texts() -> Rows:
    """Return a header and 60 texts of one or two lines with their class."""
    random_ = random.Random(8)
    rows = [["said", "mood"]]
    for number in range(60):
        good = number % 2
        words = ["box", str(random_.randrange(1000)), "is", ("poor", "fine")[good]]
        rows.append([" ".join(words) + ('\n"really", they said' if number % 5 == 0 else ""), ("bad", "good")[good]])
    return rows


def text_tables() -> Iterator[Variant]:
    """Yield the messy tables of texts."""
    plain = labeled_texts()
    text = written(plain)
    quoted = written(plain, quoting=csv.QUOTE_ALL)
    changed = {
        "CR LF": text.replace("\n", "\r\n"),
        "CR": text.replace("\n", "\r"),
        "CR LF within texts": text.replace('\n"', '\r\n"'),
        "byte order mark": f"\ufeff{text}",
        "quoted": quoted,
        "quoted, CR LF": quoted.replace("\n", "\r\n"),
        "semicolons": written(plain, ";"),
        "tabs": written(plain, "\t"),
        "spaces": written([[f"  {cell}\t " for cell in row] for row in plain], quoting=csv.QUOTE_ALL),
        "blank rows": written([r for row in plain for r in (row, ["", ""])]),
        "blank lines at the end": f"{text}\n \n",
        "lines of spaces": "".join(
            line + ("   \n" if line.endswith(("bad\n", "good\n")) else "") for line in text.splitlines(keepends=True)
        ),
    }
    for name, content in changed.items():
        yield Variant(f"texts, {name}.csv", content.encode(), True)
    broken = {
        "Latin-1": text.replace("box", "bóx").encode("latin-1"),
        "an empty text": written([*plain[:5], ["", "bad"], *plain[5:]]).encode(),
        "an unclosed quotation mark": text.replace("box", '"box', 1).encode(),
    }
    for name, content_ in broken.items():
        yield Variant(f"texts, {name}.csv", content_, False)


def text_files(text: str) -> Iterator[Variant]:
    """Yield the messy spellings of one text file."""
    changed = {
        "plain": text.encode(),
        "byte order mark": text.encode("utf-8-sig"),
        "CR LF": text.replace("\n", "\r\n").encode(),
        "CR": text.replace("\n", "\r").encode(),
        "line ends at the end": f"{text}\n\n\n".encode(),
        "spaces around": f"  \n{text} \t".encode(),
    }
    for name, content in changed.items():
        yield Variant(f"{name}.txt", content, True)
    for name, content in {"empty": b"", "blank": b" \n ", "Latin-1": f"{text}\xe9".encode("latin-1")}.items():
        yield Variant(f"{name}.txt", content, False)


# --- images


def picture(number: int) -> np.ndarray:
    """Return a plain image, uint8 (12, 12): dark or bright noise."""
    random_ = np.random.default_rng(number)
    pixels = random_.normal((70, 180)[number % 2], 40, (12, 12)).clip(0, 255)
    return pixels.astype(np.uint8)


def images(pixels: np.ndarray) -> Iterator[Variant]:
    """Yield files that hold a grayscale image (H, W), and files that hold none."""
    gray = Image.fromarray(pixels)
    rgb = Image.merge("RGB", [gray] * 3)
    rgba = Image.merge("RGBA", [gray, gray, gray, Image.new("L", gray.size, 255)])
    deep = Image.fromarray(pixels.astype(np.uint16) * 257)
    rotated = Image.fromarray(np.ascontiguousarray(np.rot90(pixels)))
    exif = Image.Exif()
    exif[0x0112] = 6  # stored turned to the left: shown turned to the right
    two_pages = {"save_all": True, "append_images": [Image.new("L", gray.size)]}
    files: dict[str, tuple[Image.Image, str, dict[str, object]]] = {
        "gray.png": (gray, "PNG", {}),
        "GRAY.PNG": (gray, "PNG", {}),
        "png called jpg.jpg": (gray, "PNG", {}),
        "color.png": (rgb, "PNG", {}),
        "opaque.png": (rgba, "PNG", {}),
        "palette.png": (gray.convert("P"), "PNG", {}),
        "palette of colors.png": (rgb.quantize(256), "PNG", {}),
        "16 bits.png": (deep, "PNG", {}),
        "uncompressed.png": (gray, "PNG", {"compress_level": 0}),
        "gray.bmp": (gray, "BMP", {}),
        "color.bmp": (rgb, "BMP", {}),
        "gray.gif": (gray, "GIF", {}),
        "two frames.gif": (gray, "GIF", two_pages),
        "gray.tif": (gray, "TIFF", {}),
        "compressed.tiff": (gray, "TIFF", {"compression": "tiff_lzw"}),
        "two pages.tif": (gray, "TIFF", two_pages),
        "color.webp": (rgb, "WEBP", {"lossless": True}),
        "gray.pgm": (gray, "PPM", {}),
        "color.ppm": (rgb, "PPM", {}),
        "gray.pnm": (gray, "PPM", {}),
        "rotated.png": (rotated, "PNG", {"exif": exif}),
        "rotated.tif": (rotated, "TIFF", {"exif": exif}),
        "rotated.webp": (rotated.convert("RGB"), "WEBP", {"lossless": True, "exif": exif}),
    }
    encoded = {name: _encoded(*what) for name, what in files.items()}
    for name, content in encoded.items():
        yield Variant(name, content, True)
    yield Variant("trailing bytes.png", encoded["gray.png"] + b"\0" * 99, True)
    png = encoded["gray.png"]
    broken = {
        "empty.png": b"",
        "text.png": b"this is no image",
        "truncated.png": png[: len(png) // 2],
        "header only.png": png[:40],
        "flipped bytes.png": png[:60] + bytes(255 - byte for byte in png[60:90]) + png[90:],
        "truncated.bmp": encoded["gray.bmp"][:-40],
        "truncated.gif": encoded["gray.gif"][:60],
        "html.jpg": b"<!DOCTYPE html><html><body>404</body></html>",
    }
    for name, content in broken.items():
        yield Variant(name, content, False)


def _encoded(image: Image.Image, form: str, options: dict[str, object]) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()
