"""The writer `wav`: audio of 16 bits."""

from __future__ import annotations

import wave
from typing import BinaryIO

import numpy as np

from benchdog.api import ArrayValue, BadUsage

LARGEST = 32_767


class Wav:
    """PCM of 16 bits. The sample rate, in Hz, is the answer's value "rate"."""

    def write(self, value: ArrayValue, file: BinaryIO) -> None:
        """Write audio (T,) or (C, T): int16, or floats from -1 to 1."""
        rate = value.answer.values.get("rate")
        if type(rate) is not int or rate < 1:
            raise BadUsage(
                f"{value.name!r} is audio without a sample rate.",
                f'Return it next to the audio: Answer({{"{value.name}": samples, "rate": 16000}}).',
            )
        frames = _pcm(value)
        with wave.open(file, "wb") as out:
            out.setparams((frames.shape[0], 2, rate, frames.shape[1], "NONE", "not compressed"))
            out.writeframes(frames.T.astype("<i2").tobytes())


def _pcm(value: ArrayValue) -> np.ndarray:
    """Return int16 (C, T)."""
    array = np.atleast_2d(value.array)
    if array.ndim != 2 or not 0 < array.shape[0] <= 64:
        raise BadUsage(f"{value.name!r} has the shape {value.array.shape}; audio is (T,) or (channels, T).")
    if array.dtype == np.int16:
        return array
    if array.dtype.kind != "f":
        raise BadUsage(f"{value.name!r} is {array.dtype}; audio is int16, or floats from -1 to 1.")
    if array.size and not np.abs(array).max() <= 1:
        raise BadUsage(f"{value.name!r} reaches from {array.min():g} to {array.max():g}; audio is from -1 to 1.")
    return np.rint(array.astype(np.float64) * LARGEST).astype(np.int16)
