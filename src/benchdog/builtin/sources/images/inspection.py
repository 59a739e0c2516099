"""Inspection of image files: each is decoded once, and its properties are cached until the file changes."""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from benchdog.api import (
    IMAGE_FORMATS,
    MAX_IMAGE_BYTES,
    MAX_PIXELS,
    Preprocess,
    Spec,
    has_more_pages,
    json_text,
    pixel_hash,
    read_regular,
)

FORMAT = 5
FORMATS = tuple(each.name for each in IMAGE_FORMATS)


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageInfo:
    """Properties of an image file: its size in pixels after EXIF rotation, and its fault, "" if it is intact.

    `sha256` is the hash of the file, `pixels` that of the image: a .png and a .bmp can have the same. `peak` is the
    largest value of 16-bit pixels, -1 for fewer bits; `paged` files hold several pages or frames.
    """

    modified: int
    bytes: int
    sha256: str = ""
    pixels: str = ""
    height: int = 0
    width: int = 0
    grey: bool = False
    peak: int = -1
    paged: bool = False
    fault: str = ""


KEPT_BYTES = 64 * 2**20
"""How many bytes of files an inspection hands on, so that loading them doesn't read them again."""


def image_preprocess(spec: Spec) -> Preprocess:
    """Return the preprocessing of image files: decoded in the spec's size and color mode, then standardized."""
    channels, height, width = spec.fields[0].shape
    image = {"op": "image", "mode": "L" if channels == 1 else "RGB", "height": height, "width": width}
    standardise = {"op": "standardise", "axes": "channel"}
    return Preprocess(decode={"input": [image]}, transform={"input": [standardise]})


def inspect(folder: Path, names: Sequence[str], cache: Path | None) -> tuple[dict[str, ImageInfo], dict[str, bytes]]:
    """Inspect files, except those whose size and modification time equal a cached inspection's.

    Returns:
        The properties of each file, and the contents of the files that were read, up to KEPT_BYTES.
    """
    folder_hash = hashlib.sha256(str(folder.absolute()).encode()).hexdigest()[:16]
    index = cache / f"inspected-{folder_hash}.json" if cache else None
    known = _read(index)
    infos: dict[str, ImageInfo] = {}
    contents: dict[str, bytes] = {}
    budget = KEPT_BYTES
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        results = pool.map(lambda name: _inspect_file(folder / name, known.get(name)), names)
        for name, (info, data) in zip(names, results, strict=True):
            infos[name] = info
            if data and len(data) <= budget:
                contents[name] = data
                budget -= len(data)
    if index and any(known.get(name) is not info for name, info in infos.items()):
        _write(index, known | infos)
    return infos, contents


def _inspect_file(path: Path, known: ImageInfo | None) -> tuple[ImageInfo, bytes]:
    try:
        stat = path.stat()
        if known and (known.modified, known.bytes) == (stat.st_mtime_ns, stat.st_size):
            return known, b""  # unchanged, so not read
        data = read_regular(path, MAX_IMAGE_BYTES)
    except OSError as error:
        return ImageInfo(modified=0, bytes=-1, fault=f"can't be read: {error.strerror or error}"), b""
    sha256 = hashlib.sha256(data).hexdigest()
    info = ImageInfo(modified=stat.st_mtime_ns, bytes=stat.st_size, sha256=sha256)
    try:
        return replace(info, **_image_properties(data)), data
    except _UnusableError as error:
        return replace(info, fault=str(error)), b""


class _UnusableError(Exception):
    """Why a file can't be used."""


def _image_properties(data: bytes) -> dict[str, Any]:
    """Decode an image; return the fields of its ImageInfo.

    Raises:
        _UnusableError: it is damaged, too large, or not an image.
    """
    if not data:
        raise _UnusableError("the file is empty")
    image: Image.Image
    peak = -1
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
        if image.width * image.height > MAX_PIXELS:
            raise _UnusableError(f"{image.width} x {image.height} pixels are more than {MAX_PIXELS:,}")
        image.load()
        with Image.open(io.BytesIO(data), formats=FORMATS) as again:
            paged = has_more_pages(again)
    except _UnusableError:
        raise
    except UnidentifiedImageError:
        raise _UnusableError(f"not an image, it begins with {data[:16]!r}") from None
    except Exception as error:  # Pillow's readers raise a dozen kinds for damaged files
        raise _UnusableError(str(error).strip() or type(error).__name__) from None
    if image.mode.startswith("I"):
        peak = int(np.asarray(image).max())
    if image.mode == "F" or peak > 65_535:
        raise _UnusableError("its pixels have more than 16 bits")
    with suppress(Exception):  # a damaged EXIF orientation
        image = ImageOps.exif_transpose(image)
    return {
        "height": image.height, "width": image.width, "grey": _is_grey(image), "peak": peak,
        "paged": paged, "pixels": pixel_hash(image),
    }  # fmt: skip


def _is_grey(image: Image.Image) -> bool:
    """Whether all pixels are gray."""
    if image.mode in ("1", "L", "LA", "La") or image.mode.startswith("I"):
        return True
    for step in (16, 1):  # a few pixels suffice for most color photographs
        pixels = np.asarray(image.convert("RGBA" if image.has_transparency_data else "RGB"))[::step, ::step]
        if (pixels[..., 0] != pixels[..., 1]).any() or (pixels[..., 1] != pixels[..., 2]).any():
            return False
    return True


def _read(index: Path | None) -> dict[str, ImageInfo]:
    """Read the cached inspection; {} if it is damaged or of another format."""
    if index is None:
        return {}
    try:
        stored = json.loads(index.read_text(encoding="utf-8"))
        if stored["format"] != FORMAT:
            return {}
        return {name: ImageInfo(**info) for name, info in stored["files"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _write(index: Path, infos: dict[str, ImageInfo]) -> None:
    """Cache an inspection; if that fails, the next one only takes longer."""
    text = json_text({"format": FORMAT, "files": {name: asdict(f) for name, f in infos.items()}})
    temporary = index.with_name(f".{index.name}.{os.getpid()}.tmp")
    with suppress(OSError):
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(index)
