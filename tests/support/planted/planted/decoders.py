"""Decode operations with faults: a magic number, the count of floats, the floats."""

import math
import random
import struct
import time

import numpy as np

from benchdog.api import BadData, DecodeExample

MAGIC = b"SIGNAL"


def file(*values):
    return MAGIC + struct.pack(f"<I{len(values)}f", len(values), *values)


def examples():
    files = [file(1.0, 2.0, 3.0), file(-1.0, 0.5, 0.25)]
    return [DecodeExample(value=each, shape=(1, 3), dtype="float32") for each in files]


def texts():
    return [DecodeExample(value="1 2 3", shape=(1, 3), dtype="float32")]


def not_json():
    return [DecodeExample(value=file(1.0), options={"rate": math.nan}, shape=(1, 1), dtype="float32")]


class Good:
    def __init__(self, options=None):
        pass

    def __call__(self, value):
        if not isinstance(value, bytes) or value[:6] != MAGIC or len(value) < 10:
            raise BadData("it is no signal")
        (count,) = struct.unpack("<I", value[6:10])
        if len(value) != 10 + 4 * count:
            raise BadData("it was cut")
        return np.frombuffer(value[10:], "<f4")[None].astype("float32")


class NoExamples(Good):
    pass


class TextExamples(Good):
    pass


class NotJsonOptions(Good):
    pass


class DoublePrecision(Good):
    def __call__(self, value):
        return super().__call__(value).astype("float64")


class ReusesBuffer(Good):
    def __init__(self, options=None):
        self.buffer = np.zeros((1, 3), np.float32)

    def __call__(self, value):
        self.buffer[:] = super().__call__(value)
        return self.buffer


class Dithers(Good):
    def __call__(self, value):
        return super().__call__(value) + np.float32(random.random() / 100)


class KeepsValue(Good):
    def __call__(self, value):
        self.value = value
        time.sleep(0.002)
        return super().__call__(self.value)


class StructError(Good):
    def __call__(self, value):
        (count,) = struct.unpack("<I", value[6:10])
        return np.frombuffer(value[10:], "<f4", count)[None].astype("float32")


class FillsZeros(Good):
    def __call__(self, value):
        if not isinstance(value, bytes) or value[:6] != MAGIC:
            raise BadData("it is no signal")
        data = value[10:].ljust(12, b"\0")
        return np.frombuffer(data, "<f4")[None].astype("float32")


class HashesNames(Good):
    def __call__(self, value):
        return super().__call__(value) + np.float32(hash("signal") % 97)
