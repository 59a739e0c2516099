"""Decoding every image file once, and remembering what was found while the file stays the same."""

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

from benchdog.api import IMAGE_FORMATS, MAX_PIXELS

FORMAT = 1
FORMATS = tuple(each.name for each in IMAGE_FORMATS)


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageInfo:
    """What a file is: its size in pixels as it is shown, and what is wrong with it, if anything.

    `peak` is the largest value of 16-bit pixels, -1 where they have fewer bits; `pages` are those of a TIFF.
    """

    modified: int
    bytes: int
    sha256: str = ""
    height: int = 0
    width: int = 0
    grey: bool = False
    peak: int = -1
    pages: int = 1
    fault: str = ""


def inspect(folder: Path, names: Sequence[str], cache: Path | None) -> dict[str, ImageInfo]:
    """Decode each file, but for those whose size and time are what an earlier inspection saw."""
    place = hashlib.sha256(str(folder.absolute()).encode()).hexdigest()[:16]
    index = cache / f"inspected-{place}.json" if cache else None
    known = _read(index)
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        findings = dict(
            zip(names, pool.map(lambda name: _inspect_file(folder / name, known.get(name)), names), strict=True)
        )
    if index and any(known.get(name) is not finding for name, finding in findings.items()):
        _write(index, known | findings)
    return findings


def _inspect_file(path: Path, known: ImageInfo | None) -> ImageInfo:
    try:
        seen = path.stat()
        if known and (known.modified, known.bytes) == (seen.st_mtime_ns, seen.st_size):
            return known
        data = path.read_bytes()
    except OSError as error:
        return ImageInfo(modified=0, bytes=-1, fault=f"can't be read: {error.strerror or error}")
    sha256 = hashlib.sha256(data).hexdigest()
    finding = ImageInfo(modified=seen.st_mtime_ns, bytes=seen.st_size, sha256=sha256)
    try:
        return replace(finding, **_image_properties(data))
    except _UnusableError as error:
        return replace(finding, fault=str(error))


class _UnusableError(Exception):
    """Why a file can't be used."""


def _image_properties(data: bytes) -> dict[str, Any]:
    """Decode an image; give what is known of a Finding."""
    if not data:
        raise _UnusableError("the file is empty")
    picture: Image.Image
    pages, peak = 1, -1
    try:
        picture = Image.open(io.BytesIO(data), formats=FORMATS)
        if picture.width * picture.height > MAX_PIXELS:
            raise _UnusableError(f"{picture.width} x {picture.height} pixels are more than {MAX_PIXELS:,}")
        if picture.format == "TIFF":
            with suppress(Exception):  # a damaged page behind the first
                pages = int(getattr(picture, "n_frames", 1))
            picture.seek(0)
        picture.load()
    except _UnusableError:
        raise
    except UnidentifiedImageError:
        raise _UnusableError(f"not an image, it begins with {data[:16]!r}") from None
    except Exception as error:  # Pillow's readers raise a dozen kinds for damaged files
        raise _UnusableError(str(error).strip() or type(error).__name__) from None
    if picture.mode.startswith("I"):
        peak = int(np.asarray(picture).max())
    if picture.mode == "F" or peak > 65_535:
        raise _UnusableError("its pixels have more than 16 bits")
    with suppress(Exception):  # a damaged note of how the camera was held
        picture = ImageOps.exif_transpose(picture)
    return {
        "height": picture.height, "width": picture.width, "grey": _is_grey(picture), "peak": peak, "pages": pages,
    }  # fmt: skip


def _is_grey(picture: Image.Image) -> bool:
    """Say whether no pixel has a colour."""
    if picture.mode in ("1", "L", "LA", "La") or picture.mode.startswith("I"):
        return True
    for step in (16, 1):  # most photographs show a colour among few pixels
        pixels = np.asarray(picture.convert("RGBA" if picture.has_transparency_data else "RGB"))[::step, ::step]
        if (pixels[..., 0] != pixels[..., 1]).any() or (pixels[..., 1] != pixels[..., 2]).any():
            return False
    return True


def _read(index: Path | None) -> dict[str, ImageInfo]:
    """Read an earlier inspection; one that is damaged or of another form is made again."""
    if index is None:
        return {}
    try:
        stored = json.loads(index.read_text(encoding="utf-8"))
        if stored["format"] != FORMAT:
            return {}
        return {name: ImageInfo(**finding) for name, finding in stored["files"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _write(index: Path, findings: dict[str, ImageInfo]) -> None:
    """Keep an inspection; where that can't be done the next one takes longer, nothing else."""
    text = json.dumps({"format": FORMAT, "files": {name: asdict(f) for name, f in findings.items()}})
    aside = index.with_name(f".{index.name}.{os.getpid()}.tmp")
    with suppress(OSError):
        aside.write_text(text, encoding="utf-8")
        aside.replace(index)
