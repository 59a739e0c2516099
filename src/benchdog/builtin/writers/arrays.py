"""The writer `npy`: any array of numbers."""

from __future__ import annotations

from typing import BinaryIO

import numpy as np

from benchdog.api import ArrayValue, BadUsage


class Npy:
    """NumPy's own format, never with pickled objects."""

    def write(self, value: ArrayValue, file: BinaryIO) -> None:
        """Write an array of any shape."""
        if value.array.dtype.hasobject:
            raise BadUsage(f"{value.name!r} holds Python objects, not numbers.")
        np.save(file, value.array, allow_pickle=False)
