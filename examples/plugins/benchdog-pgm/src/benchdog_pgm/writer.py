"""The writer: one array of a prediction into one file. No torch: exports answer without it."""

from typing import BinaryIO

from benchdog.api import ArrayValue, BadUsage

from .options import Options


class PgmWriter:
    """Write a mask (H, W) as a PGM file: a gray level per pixel, in digits."""

    def __init__(self, options: Options) -> None:
        self.visible = options.visible

    def write(self, value: ArrayValue, file: BinaryIO) -> None:
        """Write the class codes; refuse what the format can't hold, and Benchdog writes .npy instead."""
        codes = value.array
        if codes.ndim != 2 or not codes.size or codes.dtype.kind not in "ui" or codes.max() > 255:
            raise BadUsage(f"PGM holds (H, W) of 0 to 255, not {codes.dtype} {codes.shape}.")
        times = 255 // max(1, value.spec.classes - 1) if self.visible else 1
        height, width = codes.shape
        file.write(f"P2\n{width} {height}\n255\n".encode())
        for row in codes.tolist():
            file.write((" ".join(str(code * times) for code in row) + "\n").encode())
