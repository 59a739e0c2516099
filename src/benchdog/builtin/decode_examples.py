"""Raw values with which the conformance kit tries the built-in decode operations."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from benchdog.api import DecodeExample


def images() -> list[DecodeExample]:
    """Return a PNG as it is, and resized."""
    file = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (7, 5, 3), np.uint8)
    Image.fromarray(pixels).save(file, format="PNG")
    sizes = {"height": 4, "width": 6}
    return [
        DecodeExample(value=file.getvalue(), options={"mode": "RGB"}, shape=(3, 7, 5), dtype="uint8"),
        DecodeExample(value=file.getvalue(), options={"mode": "L", **sizes}, shape=(1, 4, 6), dtype="uint8"),
    ]


def arrays() -> list[DecodeExample]:
    """Return a .npy file."""
    file = io.BytesIO()
    np.save(file, np.arange(6, dtype=np.int16).reshape(2, 3), allow_pickle=False)
    options = {"dtype": "float32", "shape": [2, None]}
    return [DecodeExample(value=file.getvalue(), options=options, shape=(2, 3), dtype="float32")]


def rows() -> list[DecodeExample]:
    """Return a row with a number and a category."""
    columns = [{"name": "age"}, {"name": "town", "kind": "category", "categories": ["Rome", "Oslo"]}]
    row = {"age": "31", "town": "Oslo"}
    return [DecodeExample(value=row, options={"columns": columns}, shape=(2,), dtype="float32")]


def texts() -> list[DecodeExample]:
    """Return a text as bytes, and truncated to a length."""
    return [
        DecodeExample(value="the sea", options={"unit": "byte"}, shape=(7,), dtype="int64"),
        DecodeExample(value="the sea", options={"vocabulary": ["a", "e"], "length": 4}, shape=(4,), dtype="int64"),
    ]
