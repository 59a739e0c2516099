"""Pixel count of a request's images, read from their headers before decoding."""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import Any

from PIL import Image

from benchdog.api import IMAGE_FORMATS, Raw
from benchdog_serve.errors import Rejected

FORMATS = tuple(each.name for each in IMAGE_FORMATS)
MILLION = 1_000_000


def check_pixels(raws: Iterable[Raw], names: Iterable[str], most: int) -> int:
    """Count the pixels that decoding a request's images would make.

    Args:
        names: the fields that hold image files.

    Raises:
        Rejected: 413, more than `most`.
    """
    names = list(names)
    total = sum(_pixels(raw.fields[name]) for raw in raws for name in names)
    if total > most:
        raise Rejected(
            413,
            f"The images have {total / MILLION:,.0f} megapixels together; {most / MILLION:,.6g} are allowed.",
            "Send fewer or smaller images, or start the server with a larger --max-pixels.",
        )
    return total


def _pixels(value: Any) -> int:
    """Return an image file's pixels; 0 for what is no image, which decoding refuses."""
    if not isinstance(value, bytes):
        return 0
    try:
        with Image.open(io.BytesIO(value), formats=FORMATS) as image:
            return image.width * image.height
    except Image.DecompressionBombError:
        return 2 * (Image.MAX_IMAGE_PIXELS or 0)
    except Exception:  # Pillow's readers raise a dozen kinds for damaged files
        return 0
