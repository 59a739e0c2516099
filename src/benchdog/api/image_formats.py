"""Image file formats that are read everywhere: by sources, `predict`, `serve` and the decode operation `image`."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageFormat:
    """A file format.

    name: Pillow's name of its decoder.
    suffixes: lower case; the first is used when writing.
    signatures: bytes that a file begins with; () where they are too short to tell the format from other data.
    """

    name: str
    suffixes: tuple[str, ...]
    signatures: tuple[bytes, ...]


IMAGE_FORMATS: Final = (
    ImageFormat(name="PNG", suffixes=(".png",), signatures=(b"\x89PNG",)),
    ImageFormat(name="JPEG", suffixes=(".jpg", ".jpeg", ".jpe", ".jfif"), signatures=(b"\xff\xd8\xff",)),
    ImageFormat(name="GIF", suffixes=(".gif",), signatures=(b"GIF8",)),
    ImageFormat(name="BMP", suffixes=(".bmp",), signatures=(b"BM",)),
    ImageFormat(name="TIFF", suffixes=(".tif", ".tiff"), signatures=(b"II*\0", b"MM\0*")),
    ImageFormat(name="WEBP", suffixes=(".webp",), signatures=(b"RIFF",)),
    ImageFormat(name="PPM", suffixes=(".ppm", ".pgm", ".pbm", ".pnm"), signatures=()),
)
"""Pillow knows more, among them EPS, which runs a program to draw it."""

IMAGE_SUFFIXES: Final = tuple(sorted(suffix for each in IMAGE_FORMATS for suffix in each.suffixes))

MAX_PIXELS: Final = 80_000_000
"""More than this in one image is refused before it is decoded: a small file can hold gigabytes."""


def has_more_pages(image: Image.Image) -> bool:
    """Whether an image file, just opened, has several pages or is an animation, of which the first alone is used."""
    try:
        image.seek(1)
    except Exception:  # there is none, or a damaged one
        return False
    return True


def pixel_hash(image: Image.Image) -> str:
    """Hash what a model sees of an image, in 8-bit color: transparent pixels on white, 16 bits scaled."""
    if image.mode.startswith("I"):
        image = image.convert("I").point(lambda level: level * (1 / 257) + 0.5).convert("L")
    if image.has_transparency_data:
        seen = image.convert("RGBA")
        image = seen.copy()
        image.paste((255, 255, 255, 255), (0, 0, *seen.size))
        image.alpha_composite(seen)
    image = image.convert("RGB")
    digest = hashlib.sha256(f"{image.size}".encode())
    digest.update(image.tobytes())
    return digest.hexdigest()
