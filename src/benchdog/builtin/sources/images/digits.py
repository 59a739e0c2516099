"""Handwritten digits, 8x8, included with Benchdog: no download needed."""

from __future__ import annotations

from importlib.resources import files

import numpy as np

from benchdog.api import Field, SampleCounts, Spec, Target
from benchdog.builtin.sources.images.arrays import ImageSplit
from benchdog.builtin.sources.options import DigitsOptions
from benchdog.builtin.sources.splitting import split_by_content


class Digits:
    """The 1,797 UCI optical digits (see digits.md), split by content."""

    def __init__(self, options: DigitsOptions) -> None:
        self.options = options
        self.counts: SampleCounts | None = None

    def spec(self) -> Spec:
        """Describe grayscale images of 8x8 pixels in ten classes."""
        image = Field(kind="image", shape=(1, 8, 8), dtype="uint8", range=(0, 255))
        return Spec(fields=(image,), target=Target(kind="class", name="digit", classes=tuple("0123456789")))

    def open(self) -> dict[str, ImageSplit]:
        """Load all splits; the 17 gray levels are scaled to 0..255."""
        with (
            files("benchdog.builtin.sources.images").joinpath("digits.npz").open("rb") as file,
            np.load(file, allow_pickle=False) as stored,
        ):
            images, labels = stored["images"], stored["labels"].astype(np.int64)
        pixels = ((images.astype(np.uint16) * 255 + 8) // 16).astype(np.uint8)[:, None]
        self.counts = SampleCounts(found=len(images), used=len(images), skipped={}, unit="images")
        options = self.options
        parts = split_by_content(
            [image.tobytes() for image in images], labels.tolist(),
            valid=options.valid, test=options.test, seed=options.split_seed,
        )  # fmt: skip
        return {name: ImageSplit(pixels[at], labels[at], [f"digit-{i:04}" for i in at]) for name, at in parts.items()}
