"""Values as Python would read them, and what stands for those that have no such form."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


class Unknown(Exception):
    """An expression whose value can't be told."""


class Opaque:
    """Something that is there, and of which no more is known than its length."""

    def __init__(self, length: int | None = None) -> None:
        self.length = length

    def __len__(self) -> int:
        if self.length is None:
            raise Unknown
        return self.length

    def __bool__(self) -> bool:
        return len(self) > 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Opaque) and self.length == other.length

    __hash__ = None  # type: ignore[assignment]


def literal(value: Any) -> str:
    """Write a value as Python would read it; Unknown when it is no plain value."""
    name = getattr(value, "__name__", "")
    if isinstance(value, type) and vars(nn).get(name) is value:
        return f"nn.{name}"
    if isinstance(value, str) and '"' not in value and value.isprintable() and "\\" not in value:
        return f'"{value}"'
    if isinstance(value, torch.dtype) or value is None or isinstance(value, bool | int | str | bytes):
        return repr(value)
    if isinstance(value, float) and value == value and abs(value) != float("inf"):
        return repr(value)
    if isinstance(value, tuple):
        return f"({', '.join(map(literal, value))}{',' if len(value) == 1 else ''})"
    if isinstance(value, list):
        return f"[{', '.join(map(literal, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{literal(k)}: {literal(v)}' for k, v in value.items())}}}"
    raise Unknown


def is_literal(value: Any) -> bool:
    """Say whether a value can be written down; a tuple with names is more than its values."""
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return False
    try:
        return bool(literal(value))
    except Unknown:
        return False
