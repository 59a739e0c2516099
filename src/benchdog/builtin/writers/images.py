"""The writers of images and masks: png, jpeg, palette-png."""

from __future__ import annotations

from typing import BinaryIO

import numpy as np
from PIL import Image

from benchdog.api import ArrayValue, BadUsage
from benchdog.builtin.writers.options import JpegOptions

PALETTE = (
    (0, 0, 0), (230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0),
    (204, 121, 167), (255, 255, 255), (128, 128, 128),
)  # fmt: skip
"""RGB colors of a mask's classes, color-blind safe (Okabe and Ito)."""
CHANNELS = {1: "gray", 3: "RGB", 4: "RGB and opacity"}


class Png:
    """PNG of 8 bits a channel, or of 16 where a gray image has uint16."""

    def write(self, value: ArrayValue, file: BinaryIO) -> None:
        """Write an image (H, W) or (C, H, W) of 1, 3 or 4 channels: uint8, or floats from 0 to 1."""
        array = value.array
        if array.dtype == np.uint16 and (array.ndim == 2 or (array.ndim == 3 and array.shape[0] == 1)):
            Image.fromarray(np.ascontiguousarray(array.reshape(array.shape[-2:]))).save(file, "PNG")
            return
        Image.fromarray(_pixels(value)).save(file, "PNG")


class Jpeg:
    """JPEG, which has no opacity and loses detail."""

    def __init__(self, options: JpegOptions | None = None) -> None:
        self.quality = (options or JpegOptions()).quality

    def write(self, value: ArrayValue, file: BinaryIO) -> None:
        """Write an image (H, W) or (C, H, W) of 1 or 3 channels: uint8, or floats from 0 to 1."""
        pixels = _pixels(value)
        if pixels.ndim == 3 and pixels.shape[2] == 4:
            raise BadUsage(f"{value.name!r} has 4 channels; JPEG holds 1 or 3.")
        Image.fromarray(pixels).save(file, "JPEG", quality=self.quality)


class PalettePng:
    """PNG whose pixels are class codes, shown in the colors of its palette."""

    def write(self, value: ArrayValue, file: BinaryIO) -> None:
        """Write a mask (H, W) of class codes, 0 to 255."""
        codes = value.array
        if codes.ndim != 2 or not codes.size:
            raise BadUsage(f"{value.name!r} has the shape {codes.shape}; a mask in a PNG file is (H, W).")
        if codes.dtype.kind not in "bui" or codes.min() < 0 or codes.max() > 255:
            raise BadUsage(f"{value.name!r} is {codes.dtype}; a mask in a PNG file has the codes 0 to 255.")
        image = Image.fromarray(np.ascontiguousarray(codes, dtype=np.uint8))
        image.putpalette([channel for code in range(256) for channel in PALETTE[code % len(PALETTE)]])
        image.save(file, "PNG")


def _pixels(value: ArrayValue) -> np.ndarray:
    """Return uint8 (H, W), or (H, W, C) of 3 or 4 channels."""
    array = value.array[None] if value.array.ndim == 2 else value.array
    if array.ndim != 3 or array.shape[0] not in CHANNELS or 0 in array.shape:
        raise BadUsage(
            f"{value.name!r} has the shape {value.array.shape}; an image is (H, W) or (C, H, W) with C = "
            f"{', '.join(f'{n} ({what})' for n, what in CHANNELS.items())}."
        )
    if array.dtype.kind == "f":
        low, high = float(array.min()), float(array.max())
        if not (low >= 0 and high <= 1):
            raise BadUsage(f"{value.name!r} reaches from {low:g} to {high:g}; an image of floats is from 0 to 1.")
        array = np.rint(array.astype(np.float64) * 255).astype(np.uint8)
    elif array.dtype != np.uint8:
        raise BadUsage(f"{value.name!r} is {array.dtype}; an image is uint8, or floats from 0 to 1.")
    return np.ascontiguousarray(array[0] if array.shape[0] == 1 else array.transpose(1, 2, 0))
