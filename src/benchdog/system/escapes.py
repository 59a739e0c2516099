"""Escaping of control characters in names from files, and of surrogates that UTF-8 can't encode.

A file, class or column may be named with an escape sequence that clears the screen, with one that turns the direction
of writing, or with bytes that aren't UTF-8 (lone surrogates in Python).
"""

from __future__ import annotations

import re

CONTROLS = "\x00-\x08\x0b-\x1f\x7f-\x9f"
"""C0 without tab and line feed, DEL, and C1."""
DIRECTIONS = "\u202a-\u202e\u2066-\u2069"
HALVES = "\ud800-\udfff"
_PRINTED = re.compile(f"[{CONTROLS}{DIRECTIONS}{HALVES}]")
_WORD = re.compile(f"[{CONTROLS}\t\n\u2028\u2029{DIRECTIONS}{HALVES}]")
_HALF = re.compile(f"[{HALVES}]")


def printable(text: str) -> str:
    r"""Escape control characters for a terminal: ESC becomes \x1b. Tabs and line feeds stay."""
    return _PRINTED.sub(_escape, text)


def one_line(text: str) -> str:
    r"""Escape tabs and line feeds too: for a name in a line or a table's cell."""
    return _WORD.sub(_escape, text)


def encodable(text: str) -> str:
    r"""Escape lone surrogates only, for a UTF-8 file: a name's byte 0x80 becomes \udc80, which JSON reads back."""
    return _HALF.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code in (9, 10, 13):
        return {9: r"\t", 10: r"\n", 13: r"\r"}[code]
    return f"\\x{code:02x}" if code < 0x20 else f"\\u{code:04x}"  # above, JSON and TOML have the same escapes
