"""Types and errors of the decode operations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchdog.errors import BadData

Array = np.ndarray[Any, np.dtype[Any]]
Step = Callable[[Any], Any]


class DecodeError(BadData):
    """A value that can't be decoded; the message doesn't name the sample, which the decoder adds."""
