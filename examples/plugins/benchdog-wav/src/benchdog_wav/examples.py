"""Files with which `benchdog plugins check` tries the operation."""

import io
import struct
import wave

from benchdog.api import DecodeExample


def pcm(bits: int, frames: int, channels: int = 1) -> bytes:
    """Return a WAV file of PCM with a ramp."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setparams((channels, bits // 8, 8000, 0, "NONE", ""))
        out.writeframes(bytes(i % 256 for i in range(frames * channels * bits // 8)))
    return file.getvalue()


def floating(values: list[float]) -> bytes:
    """Return a WAV file of 32-bit floating point, which the module wave doesn't write."""
    data = struct.pack(f"<{len(values)}f", *values)
    about = struct.pack("<HHIIHH", 3, 1, 8000, 32_000, 4, 32)
    chunks = b"fmt " + struct.pack("<I", len(about)) + about + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


def examples() -> list[DecodeExample]:
    """Return one file of each encoding."""
    files = [pcm(bits, 12) for bits in (8, 16, 24, 32)] + [floating([0.5, -1.0, 0.25] * 4)]
    stereo = {"channels": 2, "length": 9}
    return [
        *(DecodeExample(value=file, shape=(1, 12), dtype="float32") for file in files),
        DecodeExample(value=pcm(16, 5, 2), options=stereo, shape=(2, 9), dtype="float32"),
    ]
