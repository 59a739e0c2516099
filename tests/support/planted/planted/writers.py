"""Writers with faults."""

import time

import numpy as np
from PIL import Image

from benchdog.api import BadUsage


class Good:
    def write(self, value, file):
        if value.array.dtype != np.uint8 or value.array.ndim != 3 or value.array.shape[0] not in (1, 3):
            raise BadUsage("It writes 8 bits a channel.")
        pixels = value.array.transpose(1, 2, 0)
        Image.fromarray(np.ascontiguousarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)).save(file, "PNG")


class NothingWritten(Good):
    def write(self, value, file):
        self.pixels = value.array


class InPlaceWriter(Good):
    def write(self, value, file):
        value.array[...] = 255 - value.array
        super().write(value, file)


class Closes(Good):
    def write(self, value, file):
        super().write(value, file)
        file.close()


class NotPng(Good):
    def write(self, value, file):
        np.save(file, value.array)


class Sideways(Good):
    def write(self, value, file):
        if value.array.dtype != np.uint8:
            raise BadUsage("It writes bytes.")
        Image.fromarray(np.ascontiguousarray(value.array[0].T)).save(file, "PNG")


class Dated(Good):
    def write(self, value, file):
        super().write(value, file)
        file.write(str(time.perf_counter_ns()).encode())


class Salted(Good):
    def write(self, value, file):
        super().write(value, file)
        file.write(str(hash("a comment")).encode())


class RawOdd(Good):
    def write(self, value, file):
        assert len(value.array.shape) == 3
        super().write(value, file)


class Halfway(Good):
    def write(self, value, file):
        file.write(b"P5\n")
        super().write(value, file)
