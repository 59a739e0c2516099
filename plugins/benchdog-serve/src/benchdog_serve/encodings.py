"""Content encodings of request bodies (gzip, deflate), unpacked as they arrive; character sets of texts."""

from __future__ import annotations

import zlib
from typing import Any

from benchdog_serve.errors import Rejected, shown

PACKED = {"gzip": 16 + zlib.MAX_WBITS, "x-gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
"""zlib's `wbits` by content encoding."""
PIECE = 1 << 20
"""Most bytes that are unpacked at once."""
GZIP = b"\x1f\x8b"
CHARSETS = {
    **dict.fromkeys(("utf-8", "utf8"), "utf-8-sig"),
    **dict.fromkeys(("us-ascii", "ascii"), "ascii"),
    **dict.fromkeys(("iso-8859-1", "latin1", "latin-1"), "iso-8859-1"),
    **dict.fromkeys(("windows-1252", "cp1252"), "cp1252"),
    "utf-16": "utf-16",
}
"""Python's codecs by the charset of a content type."""


class Unpacker:
    """Unpacks a body chunk by chunk.

    Args:
        encoding: the Content-Encoding header.

    Raises:
        Rejected: 415, an encoding that isn't known.
    """

    def __init__(self, encoding: str) -> None:
        word = encoding.strip().lower()
        if word not in PACKED:
            raise Rejected(
                415,
                f"The Content-Encoding is {shown(encoding)}.",
                "Send gzip or deflate, or the body as it is, without Content-Encoding.",
                {"Accept-Encoding": "gzip, deflate"},
            )
        self._encoding = word
        self._unpack: Any = zlib.decompressobj(PACKED[word])
        self._begun = False

    def __call__(self, data: bytes, most: int) -> bytes:
        """Unpack a chunk; of one that is longer than `most` bytes, at least one byte more than that.

        Raises:
            Rejected: 400, it is damaged.
        """
        out = bytearray()
        full = False  # then there can be more without more data
        while (data or full) and len(out) <= most:
            if self._unpack.eof:
                if not data:
                    break
                self._unpack = zlib.decompressobj(PACKED[self._encoding])  # several files, one after the other
            piece = self._piece(data)
            full = len(piece) == PIECE
            out += piece
            data = self._unpack.unconsumed_tail or self._unpack.unused_data
        return bytes(out)

    def end(self) -> None:
        """Raise Rejected (400) when the body ends too early."""
        if not self._unpack.eof:
            raise self._damaged("it ends too early")

    def _piece(self, data: bytes) -> bytes:
        try:
            piece: bytes = self._unpack.decompress(data, PIECE)
        except zlib.error as error:
            if self._begun or self._encoding != "deflate":
                raise self._damaged(str(error)) from None
            self._unpack = zlib.decompressobj(-zlib.MAX_WBITS)  # some clients leave out zlib's header
            self._begun = True
            return self._piece(data)
        self._begun = True
        return piece

    def _damaged(self, why: str) -> Rejected:
        return Rejected(400, f"The body is not {self._encoding}: {why}.", "Leave out Content-Encoding if it isn't.")


def text_of(body: bytes, content_type: str, default: str = "utf-8-sig") -> str:
    """Decode a text by the charset of its content type; a byte order mark is dropped.

    Args:
        default: the codec where no charset is named.

    Raises:
        Rejected: 415 for an unknown charset, 400 for a body that isn't in it.
    """
    name = _charset(content_type)
    if name and name not in CHARSETS:
        raise Rejected(415, f"The charset is {shown(name)}.", "Send UTF-8.")
    codec = CHARSETS[name] if name else default
    try:
        return body.decode(codec)
    except UnicodeDecodeError as error:
        hint = "Send UTF-8, or name the charset in Content-Type."
        if body.startswith(GZIP):
            hint = "It looks like gzip: send it with Content-Encoding: gzip."
        why = f"byte {error.start + 1} is {error.object[error.start]:#04x}"
        raise Rejected(400, f"The body is not {(name or 'UTF-8').upper()}: {why}.", hint) from None


def _charset(content_type: str) -> str:
    for part in content_type.split(";")[1:]:
        key, _, value = part.partition("=")
        if key.strip().lower() == "charset":
            return value.strip().strip("\"'").lower()
    return ""
