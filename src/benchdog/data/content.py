"""The content of samples, which decides their split: equal samples, and equal images, must not be in two."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np

from benchdog.api import Raw, Spec
from benchdog.data.decode.errors import DecodeError
from benchdog.data.decode.operations import decode_image


def content_bytes(raw: Raw) -> bytes:
    """Return the bytes that identify a sample."""

    def encode(value: Any) -> bytes:
        if isinstance(value, bytes):
            return value
        if isinstance(value, np.ndarray):
            return str((value.dtype.str, value.shape)).encode() + value.tobytes()
        return json.dumps(value, sort_keys=True, default=str).encode()

    return b"\0".join(encode(raw.fields[name]) for name in sorted(raw.fields))


def contents_of(raws: Sequence[Raw], spec: Spec) -> list[bytes]:
    """Return what decides the split of each sample: its content, or the smallest one of those with equal images.

    The same image can be stored in several files: other formats, other metadata, another compression.
    """
    contents = [content_bytes(raw) for raw in raws]
    images = [field.name for field in spec.fields if field.kind == "image"]
    if not any(isinstance(raw.fields.get(name), bytes) for raw in raws[:1] for name in images):
        return contents
    smallest: dict[bytes, bytes] = {}
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        decoded = list(pool.map(lambda raw: hashlib.sha256(content_bytes(_with_pixels(raw, images))).digest(), raws))
    for pixels, content in zip(decoded, contents, strict=True):
        smallest[pixels] = min(content, smallest.get(pixels, content))
    return [smallest[pixels] for pixels in decoded]


def _with_pixels(raw: Raw, names: Sequence[str]) -> Raw:
    """Return a sample with the pixels of its image files; damaged ones are refused when they are read."""
    fields: Mapping[str, Any] = raw.fields
    for name in names:
        try:
            if isinstance(fields.get(name), bytes):
                fields = {**fields, name: np.asarray(decode_image(fields[name], "RGB"))}
        except DecodeError:
            continue
    return replace(raw, fields=fields)
