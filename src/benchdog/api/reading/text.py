"""Text files: their encoding and line ends, and what a file is that holds no text."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TextIO

from benchdog.api.reading.kinds import HEAD, kind_of
from benchdog.api.regular_files import MAX_TEXT_BYTES, open_regular
from benchdog.errors import BadData

CHUNK: Final = 1 << 20
MAX_LINE: Final = 1 << 26
"""Characters of a line that a table may have; a text may be one line."""
MARKS: Final = (
    (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip
"""Byte order marks of encodings other than UTF-8, which is what files without one are."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TextFile:
    """A file that was checked to be text.

    Attributes:
        path: where it is.
        encoding: Python's name; the byte order mark isn't part of the text.
        quotes: whether it holds a quotation mark.
        null_line: the first line with a NUL character, 0 without one.
        long_line: the first line of more than `MAX_LINE` characters, 0 without one.
    """

    path: Path
    encoding: str
    quotes: bool
    null_line: int
    long_line: int

    @contextmanager
    def lines(self) -> Iterator[TextIO]:
        """Open it; line ends are \\n."""
        try:
            with io.TextIOWrapper(open_regular(self.path, MAX_TEXT_BYTES), encoding=self.encoding) as file:
                yield file
        except (OSError, UnicodeDecodeError) as error:  # it was changed since
            raise BadData(f"{self.path} can't be read: {getattr(error, 'strerror', '') or error}.") from None


def check_text(path: Path) -> TextFile:
    """Check that a file is text, reading it once.

    Raises:
        BadData: it can't be read, is another kind of file, or is not UTF-8 (or UTF-16 with a byte order mark).
    """
    quotes, ends, null, long, length = False, 0, 0, 0, 0
    try:
        with open_regular(path, MAX_TEXT_BYTES) as file:
            head = file.read(CHUNK)
            what, remedy = kind_of(path, head[:HEAD])
            if what:
                raise BadData(f"{path} is {what}, not UTF-8 text.", remedy)
            encoding = next((name for mark, name in MARKS if head.startswith(mark)), "utf-8-sig")
            decoder = codecs.getincrementaldecoder(encoding)()
            chunk = head
            while True:
                text = decoder.decode(chunk, final=not chunk)
                quotes = quotes or '"' in text
                if not null and "\0" in text:
                    null = ends + text.count("\n", 0, text.index("\0")) + 1
                length = length + len(text) if (end := _last_end(text)) < 0 else len(text) - end - 1
                ends += text.count("\n")
                if not long and length > MAX_LINE:
                    long = ends + 1
                if not chunk:
                    break
                chunk = file.read(CHUNK)
    except UnicodeDecodeError as error:
        line = ends + error.object.count(b"\n", 0, error.start) + 1
        name = "UTF-8" if encoding == "utf-8-sig" else encoding.upper()
        raise BadData(
            f"{path} is not {name}: byte {error.object[error.start]:#04x} in line {line}.",
            "Save it as UTF-8 (a spreadsheet calls it 'CSV UTF-8').",
        ) from None
    except FileNotFoundError:
        raise BadData(f"{path} doesn't exist.") from None
    except IsADirectoryError:
        raise BadData(f"{path} is a folder, not a file.", "Name a file in it.") from None
    except OSError as error:
        raise BadData(f"{path} can't be read: {error.strerror or error}.") from None
    return TextFile(path=path, encoding=encoding, quotes=quotes, null_line=null, long_line=long)


def read_text(path: Path) -> str:
    """Read a text file without its byte order mark, line ends as \\n.

    Raises:
        BadData: as `check_text`.
    """
    with check_text(path).lines() as file:
        return file.read()


def _last_end(text: str) -> int:
    return max(text.rfind("\n"), text.rfind("\r"))


def plain_newlines(text: str) -> str:
    """Return a text with line ends as files have them once they are read: \\n."""
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text
