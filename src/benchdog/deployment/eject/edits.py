"""Changes to source text at the places that ast names; everything else stays as it was written."""

from __future__ import annotations

import ast
from typing import Any


class Text:
    """A text with edits to come: places are the bytes of its UTF-8 form, as ast counts them."""

    def __init__(self, text: str) -> None:
        self.bytes = text.encode()
        self.lines = [0]
        for line in self.bytes.splitlines(keepends=True):
            self.lines.append(self.lines[-1] + len(line))
        self.edits: list[tuple[int, int, str]] = []

    def span(self, node: Any) -> tuple[int, int]:
        """Give where a node begins and ends."""
        return self.lines[node.lineno - 1] + node.col_offset, self.lines[node.end_lineno - 1] + node.end_col_offset

    def bare(self, node: Any) -> tuple[int, int]:
        """Give where a node begins and ends, with brackets that are only there to hold it together."""
        start, end = self.span(node)
        held = self.bytes[start - 1 : start] == b"(" and self.bytes[end : end + 1] == b")"
        called = chr(self.bytes[start - 2]).isalnum() or self.bytes[start - 2 : start - 1] in (b"_", b"]", b")")
        return (start - 1, end + 1) if held and not called and self.bytes[end + 1 : end + 2] != b"." else (start, end)

    def edit(self, start: int, end: int, text: str) -> None:
        """Put a text in place of a stretch; edits within it are forgotten."""
        self.edits = [e for e in self.edits if e[1] <= start or e[0] >= end]
        self.edits.append((start, end, text))

    def now(self, start: int = 0, end: int | None = None) -> str:
        """Give a stretch as the edits so far leave it."""
        end = len(self.bytes) if end is None else end
        parts, at = [], start
        for first, last, text in sorted(e for e in self.edits if start <= e[0] and e[1] <= end):
            parts += [self.bytes[at:first].decode(), text]
            at = last
        return "".join([*parts, self.bytes[at:end].decode()])

    def delete(self, statement: ast.stmt) -> None:
        """Take a statement out, with the comment right above it."""
        first, last = first_line(statement), statement.end_lineno or 0
        while self.bytes[self.lines[first - 2] : self.lines[first - 1]].strip().startswith(b"#"):
            first -= 1
        self.edit(self.lines[first - 1], self.lines[last], "")


def first_line(statement: ast.stmt) -> int:
    """Give the line in which a definition begins, its decorators included."""
    decorators: list[ast.expr] = getattr(statement, "decorator_list", [])
    return min([statement.lineno, *(each.lineno for each in decorators)])
