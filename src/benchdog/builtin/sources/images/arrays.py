"""A split of images in memory."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchdog.api import Raw

Array = np.ndarray[Any, np.dtype[Any]]


class ImageSplit:
    """Grayscale or RGB images uint8 (N, C, H, W) with int64 classes or none; a raw sample is a PNG file's bytes."""

    def __init__(self, images: Array, targets: Array | None, ids: Sequence[str]) -> None:
        self.images = images
        self.targets: Any = targets
        self.ids = ids

    def __len__(self) -> int:
        return len(self.images)

    def raw(self, i: int) -> Raw:
        """Return a sample, encoded as PNG."""
        target = None if self.targets is None else self.targets[i]
        return Raw(id=self.ids[i], fields={"input": png(self.images[i])}, target=target)

    def id(self, i: int) -> str:
        """Return the id of a sample, without encoding its image."""
        return self.ids[i]

    def batch(self, indices: Sequence[int]) -> tuple[tuple[Array, ...], Array | None]:
        """Return ((B, C, H, W),) and (B,), or None without targets."""
        return (self.images[indices],), None if self.targets is None else self.targets[indices]

    def whole(self) -> tuple[tuple[Array, ...], Array | None]:
        """Return all images and targets without copying."""
        return (self.images,), self.targets


def png(image_CHW: Array) -> bytes:
    """Encode a grayscale or RGB image as PNG."""
    from PIL import Image

    out = io.BytesIO()
    pixels = image_CHW[0] if len(image_CHW) == 1 else image_CHW.transpose(1, 2, 0)
    Image.fromarray(np.ascontiguousarray(pixels)).save(out, "PNG")
    return out.getvalue()
