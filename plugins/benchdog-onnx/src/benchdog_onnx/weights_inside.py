"""Check that an ONNX graph stores its weights itself, not in other files.

ONNX Runtime reads external data from where a graph says, relative to the working folder for a graph that is given as
bytes. So the encoded message is walked before, without the package onnx, which running a graph doesn't need: through
graphs, subgraphs, functions and attributes to every tensor. Fields by number are those of onnx.proto3.
"""

from __future__ import annotations

from collections.abc import Iterator

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
"""Wire types of protobuf."""
INSIDE: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
"""By message: its fields that hold tensors, however deep, and the messages that they are."""
NAME, EXTERNAL_DATA, DATA_LOCATION = 8, 13, 14
"""Fields of a tensor; a location other than 0 is outside."""
DEPTH = 100


def tensor_outside(data: bytes) -> str | None:
    """Return the name of a tensor whose values are in another file; None if there is none.

    Raises:
        ValueError: the bytes are not an ONNX graph.
    """
    left = [(memoryview(data), "model", DEPTH)]
    while left:
        message, kind, depth = left.pop()
        if not depth:
            raise ValueError("it is nested too deep")
        name, outside = "", False
        for number, value in _fields(message):
            if kind == "tensor":
                if number == NAME and isinstance(value, memoryview):
                    name = bytes(value).decode(errors="replace")
                outside |= number == EXTERNAL_DATA or (number == DATA_LOCATION and value != 0)
            elif number in INSIDE[kind] and isinstance(value, memoryview):
                left.append((value, INSIDE[kind][number], depth - 1))
        if outside:
            return name
    return None


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield a message's fields: (number, an integer or the bytes of text, a message or a packed array)."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        if tag >= 2**32:
            raise ValueError("a field has an impossible number")  # which other readers cut to another one
        number, kind = tag >> 3, tag & 7
        if kind == VARINT:
            value, at = _varint(message, at)
            yield number, value
            continue
        if kind == BYTES:
            size, at = _varint(message, at)
        elif kind in (FIXED64, FIXED32):
            size = 8 if kind == FIXED64 else 4
        else:
            raise ValueError(f"a field has the unknown type {kind}")
        if size > len(message) - at:
            raise ValueError("it is truncated")
        yield number, message[at : at + size]
        at += size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """Return a variable-length integer and the position after it."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            break
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("it is truncated")
