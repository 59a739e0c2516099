"""Types and errors of the decode operations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchdog.errors import BadUsage

Array = np.ndarray[Any, np.dtype[Any]]
Step = Callable[[Any], Any]


class DecodeError(Exception):
    """A value that can't be decoded; the message doesn't name the sample, which the decoder adds."""


def require(ok: bool, op: str, key: str, value: Any, wanted: str) -> None:
    """Raise BadUsage for a parameter of an operation unless `ok`."""
    if not ok:
        raise BadUsage(f"Decode operation {op!r}: {key} must be {wanted}, not {value!r}.")
