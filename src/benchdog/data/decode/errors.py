"""What decode operations share: their types, and how they say what is wrong with a parameter or a value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchdog.errors import BadUsage

Array = np.ndarray[Any, np.dtype[Any]]
Step = Callable[[Any], Any]


class DecodeError(Exception):
    """What is wrong with one value, said without the sample's name."""


def require(ok: bool, op: str, key: str, value: Any, wanted: str) -> None:
    """Refuse a parameter of an operation unless it is `ok`."""
    if not ok:
        raise BadUsage(f"Decode operation {op!r}: {key} must be {wanted}, not {value!r}.")
