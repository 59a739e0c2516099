"""What a file is that holds no text or no table, by how it begins, and what to do with it."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from benchdog.api.regular_files import MAX_TEXT_BYTES, open_regular

HEAD: Final = 4096
"""Bytes by which a kind is known."""
BY_HF: Final = "Train on it with the source hf (package benchdog-huggingface): benchdog train hf --data FILE"
BY_PANDAS: Final = "Save its table as CSV: pandas.{0}(FILE){1}.to_csv('data.csv', index=False)"
KINDS: Final = (
    (b"PAR1", "a Parquet file", BY_HF),
    (b"ARROW1", "an Arrow file", BY_HF),
    (b"\x1f\x8b", "compressed with gzip", "Unpack it: gunzip FILE"),
    (b"BZh", "compressed with bzip2", "Unpack it: bunzip2 FILE"),
    (b"\xfd7zXZ", "compressed with xz", "Unpack it: unxz FILE"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd", "Unpack it: unzstd FILE"),
    (b"7z\xbc\xaf", "a 7-Zip archive", "Unpack it."),
    (b"Rar!", "a RAR archive", "Unpack it."),
    (b"%PDF", "a PDF", "Save its text or table as a text file."),
    (b"SQLite format 3\0", "an SQLite database", "Save a table as CSV: sqlite3 -header -csv FILE 'SELECT ...'"),
    (b"\xd0\xcf\x11\xe0", "an Excel or Word file of before 2007", "Save it as 'CSV UTF-8', or as plain text."),
    (b"\x89HDF", "an HDF5 file", BY_PANDAS.format("read_hdf", "")),
    (b"\x93NUMPY", "a NumPy array", "Save it as CSV: numpy.savetxt."),
    (b"{\\rtf", "an RTF document", "Save it as plain text, UTF-8."),
    (b"\x89PNG", "an image", "Images are read from a folder that has a folder per class."),
    (b"\xff\xd8\xff", "an image", "Images are read from a folder that has a folder per class."),
    (b"GIF8", "an image", "Images are read from a folder that has a folder per class."),
)  # fmt: skip
ZIP: Final = b"PK\x03\x04"
OFFICE: Final = (
    ((b"xl/", b"xl\\"), (".xlsx", ".xlsm"), "an Excel workbook", "Save it as 'CSV UTF-8' (File, Save as)."),
    ((b"opendocument.spreadsheet",), (".ods",), "an OpenDocument spreadsheet", "Save it as CSV, UTF-8."),
    ((b"word/",), (".docx",), "a Word document", "Save it as plain text, UTF-8."),
)
"""Zip archives by the names in them, and their suffixes."""
WIDE_MARKS: Final = (b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff")
"""Byte order marks of texts with NUL bytes."""
DOCUMENTS: Final = (
    (
        r"\s*<(!doctype|html|\?xml|table)",
        "HTML or XML",
        BY_PANDAS.format("read_html", "[0]"),
    ),
    (r"\s*[\[{]\s*[\[{\"]", "JSON", f"{BY_HF}, or save it as CSV with pandas.read_json."),
)
"""Text that is no table."""


def kind_of(path: Path, head: bytes) -> tuple[str, str]:
    """Return what a file is that is not text, and what to do; empty for text.

    Args:
        path: its name.
        head: the first bytes.
    """
    what, remedy = next(((what, remedy) for start, what, remedy in KINDS if head.startswith(start)), ("", ""))
    if head.startswith(ZIP):
        suffix = path.suffix.lower()
        known = [(w, r) for parts, ends, w, r in OFFICE if suffix in ends or any(part in head for part in parts)]
        what, remedy = known[0] if known else ("a zip archive", "Unpack it.")
    elif not what and head.count(0) * 4 > len(head) and not head.startswith(WIDE_MARKS):
        what, remedy = "UTF-16 without a byte order mark, or no text", "Save it as UTF-8."
    return what, remedy.replace("FILE", os.fspath(path))


def document_of(path: Path, text: str) -> tuple[str, str]:
    """Return what a text is that is no table, and what to do; empty for a table."""
    found = ((what, remedy) for begins, what, remedy in DOCUMENTS if re.match(begins, text, re.IGNORECASE))
    what, remedy = next(found, ("", ""))
    return what, remedy.replace("FILE", os.fspath(path))


def kind_of_file(path: Path) -> tuple[str, str]:
    """Return what a file is that is neither a text nor a table, and what to do; empty for others.

    Raises:
        OSError: it can't be read.
    """
    with open_regular(path, MAX_TEXT_BYTES) as file:
        head = file.read(HEAD)
    what, remedy = kind_of(path, head)
    return (what, remedy) if what else document_of(path, head.decode("utf-8", "replace"))
