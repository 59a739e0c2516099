"""Synthetic images and volumes with masks: segment discs among squares of the same brightness."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchdog.api import Field, Raw, SampleCounts, Spec, Target
from benchdog.builtin.sources.images.arrays import png
from benchdog.builtin.sources.options import ShapesOptions

Array = np.ndarray[Any, np.dtype[Any]]

NOISE = 0.05
"""Standard deviation of each pixel, where 1 is white."""
UNEVEN = 0.35
"""Largest slope of the background brightness, corner to corner."""
RISE = 0.3
"""How much brighter a shape is than the background."""


class Shapes:
    """Sample i depends only on (seed, i): the same on every machine and in every order."""

    def __init__(self, options: ShapesOptions) -> None:
        self.options = options
        self.counts = SampleCounts(found=options.count, used=options.count, skipped={}, unit="images")
        size = options.size or (64 if options.dimensions == 2 else 32)
        self.shape = (max(size, 16),) * options.dimensions

    def spec(self) -> Spec:
        """Describe one channel of (H, W) or (D, H, W), and a mask of the same axes."""
        kind = "image" if self.options.dimensions == 2 else "volume"
        field = Field(kind=kind, shape=(1, *self.shape), dtype="uint8", range=(0, 255))
        name = "disc" if self.options.dimensions == 2 else "ball"
        target = Target(kind="mask", name="mask", classes=("background", name), shape=self.shape)
        return Spec(fields=(field,), target=target)

    def open(self) -> dict[str, ShapesSplit]:
        """Return the first 70 % as train, the next 15 % as valid, the rest as test."""
        count, seed = self.options.count, self.options.seed
        first, second = round(count * 0.7), round(count * 0.85)
        blocks = {"train": range(first), "valid": range(first, second), "test": range(second, count)}
        return {name: ShapesSplit(block, seed, self.shape) for name, block in blocks.items()}


class ShapesSplit:
    """Samples that are generated on first access, and cached."""

    def __init__(self, block: range, seed: int, shape: tuple[int, ...]) -> None:
        self.block = block
        self.seed = seed
        self.shape = shape
        self.images: Array = np.empty((len(block), 1, *shape), np.uint8)
        self.masks: Array = np.empty((len(block), *shape), np.uint8)
        self.drawn: Array = np.zeros(len(block), bool)

    def __len__(self) -> int:
        return len(self.block)

    def raw(self, i: int) -> Raw:
        """Return a sample: PNG bytes, or in three dimensions an array; its mask int64."""
        self._draw(i)
        image = png(self.images[i]) if len(self.shape) == 2 else self.images[i]
        return Raw(id=f"shape-{self.block[i]:06}", fields={"input": image}, target=self.masks[i].astype(np.int64))

    def batch(self, indices: Sequence[int]) -> tuple[tuple[Array, ...], Array]:
        """Return ((B, 1, ...),) and masks int64 (B, ...)."""
        at = np.asarray(indices)
        for i in at[~self.drawn[at]]:
            self._draw(int(i))
        return (self.images[at],), self.masks[at].astype(np.int64)

    def _draw(self, i: int) -> None:
        if not self.drawn[i]:
            self.images[i, 0], self.masks[i] = draw(self.seed, self.block[i], self.shape)
            self.drawn[i] = True  # last, so that another thread never sees half a sample


def draw(seed: int, i: int, shape: tuple[int, ...]) -> tuple[Array, Array]:
    """Draw one image uint8 and its mask uint8, both of `shape`."""
    rng = np.random.default_rng((seed, i))
    image, mask = _background(rng, shape), np.zeros(shape, np.uint8)
    size, axes = shape[0], len(shape)
    # A square of this half side is as large as the disc of radius 1: area doesn't tell them apart.
    half = (np.pi**0.5 / 2) if axes == 2 else (4 / 3 * np.pi) ** (1 / 3) / 2
    placed: list[tuple[list[float], float]] = []
    for k in range(int(rng.integers(4, 8))):
        round_ = k % 2 == 0
        radius = float(rng.uniform(size / 12, size / 6))
        center = _place(rng, placed, radius, shape)
        if center is None:
            continue
        placed.append((center, radius))
        box = tuple(slice(max(0, int(c - radius - 1)), int(c + radius + 2)) for c in center)
        away = [np.abs(np.arange(s.start, min(s.stop, size)) - c) for s, c in zip(box, center, strict=True)]
        grid = np.meshgrid(*away, indexing="ij", sparse=True)
        far = sum(g**2 for g in grid) ** 0.5 if round_ else _largest(grid) / half
        inside = far <= radius
        image[box] += RISE * inside
        if round_:
            mask[box] |= inside.astype(np.uint8)
    image += rng.normal(0, NOISE, shape)
    return (np.clip(image, 0, 1) * 255).round().astype(np.uint8), mask


def _background(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Return a gradient in a random direction plus a slow wave, between 0.05 and 0.65."""
    image = np.full(shape, 0.35)
    for axis, length in enumerate(shape):
        place = np.linspace(-0.5, 0.5, length)
        wave = rng.uniform(-UNEVEN, UNEVEN) * place + 0.06 * np.sin(rng.uniform(2, 7) * place + rng.uniform(0, 6))
        image += (wave / (len(shape) - 1)).reshape([-1 if a == axis else 1 for a in range(len(shape))])
    return image


def _place(
    rng: np.random.Generator,
    placed: Sequence[tuple[list[float], float]],
    radius: float,
    shape: tuple[int, ...],
) -> list[float] | None:
    """Return a center away from the other shapes; None if none is found."""
    reach = 1.3  # a square's corner reaches further than a disc
    for _ in range(30):
        center: list[float] = rng.uniform(radius, shape[0] - 1 - radius, len(shape)).tolist()
        if all(math.dist(center, c) > reach * (radius + r) for c, r in placed):
            return center
    return None


def _largest(grid: Sequence[Array]) -> Array:
    out = grid[0]
    for other in grid[1:]:
        out = np.maximum(out, other)
    return out
