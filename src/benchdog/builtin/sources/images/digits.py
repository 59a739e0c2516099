"""Handwritten digits, 8x8, included with Benchdog: no download needed."""

from __future__ import annotations

from importlib.resources import files

import numpy as np

from benchdog.api import Field, SampleCounts, Spec, Target
from benchdog.builtin.sources.images.arrays import Array, ImageSplit
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
        if options.labeled < 1:
            train = parts["train"]
            kept = _labeled(labels[train], options.labeled, options.split_seed)
            parts |= {"train": train[kept], "unlabeled": train[~kept]}
        return {
            name: ImageSplit(pixels[at], None if name == "unlabeled" else labels[at], [f"digit-{i:04}" for i in at])
            for name, at in parts.items()
        }


def _labeled(labels: Array, fraction: float, seed: int) -> Array:
    """Return which samples (N,) keep their label: that fraction of each class, at least one, drawn by the seed."""
    kept = np.zeros(len(labels), bool)
    order = np.random.default_rng([seed, 1]).permutation(len(labels))
    for code in np.unique(labels):
        own = order[labels[order] == code]
        kept[own[: max(1, round(len(own) * fraction))]] = True
    return kept
