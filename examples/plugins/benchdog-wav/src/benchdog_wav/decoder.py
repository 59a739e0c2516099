"""The decode operation: a file's bytes in, an array out. NumPy, no torch: exports answer without it."""

import struct
from typing import Any

import numpy as np
from benchdog.api import BadData

from .options import Options

PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
Samples = np.ndarray[Any, np.dtype[np.float32]]


class WavDecoder:
    """Decode WAV files to float32 (channels, T), full scale -1 to 1."""

    def __init__(self, options: Options) -> None:
        self.options = options

    def __call__(self, value: Any) -> Samples:
        """Return the samples of a file; BadData says what is wrong with it, Benchdog adds its name."""
        if not isinstance(value, bytes):
            raise BadData(f"the bytes of a WAV file are needed, not {type(value).__name__}")
        chunks = riff_chunks(value)
        if len(chunks.get(b"fmt ", b"")) < 16 or b"data" not in chunks:
            raise BadData("it has no 'fmt ' and 'data' chunks of WAV")
        code, channels, rate, _, _, bits = struct.unpack("<HHIIHH", chunks[b"fmt "][:16])
        if code == EXTENSIBLE and len(chunks[b"fmt "]) >= 26:
            (code,) = struct.unpack("<H", chunks[b"fmt "][24:26])
        if channels != self.options.channels:
            raise BadData(f"it has {channels} channels, not {self.options.channels}")
        if self.options.rate not in (0, rate):
            raise BadData(f"its sampling rate is {rate} Hz, not {self.options.rate} Hz")
        return self._fitted(as_floats(chunks[b"data"], code, bits).reshape(-1, channels).T)

    def _fitted(self, samples: Samples) -> Samples:
        length = self.options.length
        if not length:
            return np.ascontiguousarray(samples)
        out = np.zeros((len(samples), length), np.float32)
        out[:, : samples.shape[1]] = samples[:, :length]
        return out


def riff_chunks(data: bytes) -> dict[bytes, bytes]:
    """Return the chunks of a RIFF file by name, those before its first `data` chunk included."""
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise BadData("it is not a WAV file: it doesn't begin with RIFF and WAVE")
    chunks: dict[bytes, bytes] = {}
    place = 12
    while place + 8 <= len(data) and b"data" not in chunks:
        name, size = data[place : place + 4], int.from_bytes(data[place + 4 : place + 8], "little")
        chunks[name] = data[place + 8 : place + 8 + size]
        if len(chunks[name]) < size:
            raise BadData(f"it was cut: the chunk {name!r} has {len(chunks[name])} of its {size} bytes")
        place += 8 + size + size % 2
    return chunks


def as_floats(data: bytes, code: int, bits: int) -> Samples:
    """Return interleaved samples as float32."""
    if (code, bits) not in ((PCM, 8), (PCM, 16), (PCM, 24), (PCM, 32), (FLOAT, 32), (FLOAT, 64)):
        raise BadData(f"its encoding {code} with {bits} bits is not supported: save it as PCM or float")
    if len(data) % (bits // 8):
        raise BadData(f"its data is not a whole number of {bits}-bit samples")
    if code == FLOAT:
        values = np.frombuffer(data, f"<f{bits // 8}").astype(np.float32)
        if not np.isfinite(values).all():
            raise BadData("it holds NaN or infinity")
        return values
    if bits == 8:  # the only unsigned one
        return ((np.frombuffer(data, np.uint8) - 128.0) / 128).astype(np.float32)
    if bits == 24:  # as the upper three bytes of 32 bits
        parts = np.zeros((len(data) // 3, 4), np.uint8)
        parts[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        data, bits = parts.tobytes(), 32
    return (np.frombuffer(data, f"<i{bits // 8}") / 2.0 ** (bits - 1)).astype(np.float32)
