"""Tiny data: small files of the usual forms, and a spec for each kind of input and target."""

from __future__ import annotations

import csv
import random
from pathlib import Path
from typing import TYPE_CHECKING

from benchdog.api import Column, Field, Spec, Target

if TYPE_CHECKING:
    from torch import Tensor

CLASSES = ("one", "two", "three")


class Tiny:
    """A folder with small files, each made when it is first asked for.

    Attributes:
        folder: where they lie.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)

    def paths(self) -> list[Path]:
        """Give something of each usual form: a table, a folder of pictures by class, a text, texts by class."""
        return [self.table(), self.pictures(), self.text(), self.texts()]

    def table(self) -> Path:
        """Give a CSV file: two columns of numbers, one of words, a class."""
        path = self.folder / "table.csv"
        if not path.exists():
            draw, rows = random.Random(1), []
            for i in range(96):
                k = i % 2
                word = "red" if draw.random() < 0.5 else "blue"
                rows.append([f"{draw.gauss(k, 0.4):.3f}", f"{draw.gauss(-k, 0.4):.3f}", word, ("no", "yes")[k]])
            with path.open("w", encoding="utf-8", newline="") as file:
                csv.writer(file).writerows([["length", "width", "colour", "label"], *rows])
        return path

    def pictures(self) -> Path:
        """Give a folder with a folder of small PNG files for each of two classes."""
        place = self.folder / "pictures"
        if not place.exists():
            import numpy as np
            from PIL import Image

            draw = np.random.default_rng(2)
            for name, low in (("dark", 0), ("light", 128)):
                (place / name).mkdir(parents=True)
                for i in range(16):
                    pixels = draw.integers(low, low + 128, (12, 12, 3)).astype("uint8")
                    Image.fromarray(pixels).save(place / name / f"{i}.png")
        return place

    def text(self) -> Path:
        """Give a text file of some thousand characters."""
        path = self.folder / "text.txt"
        if not path.exists():
            draw = random.Random(3)
            words = ["the", "dog", "finds", "a", "bone", "and", "keeps", "it"]
            path.write_text(" ".join(draw.choice(words) for _ in range(800)) + "\n", encoding="utf-8")
        return path

    def texts(self) -> Path:
        """Give a CSV file of short texts with a class."""
        path = self.folder / "texts.csv"
        if not path.exists():
            draw = random.Random(4)
            words = (["good", "fine", "glad"], ["bad", "poor", "sad"])
            rows = [[" ".join(draw.choice(words[i % 2]) for _ in range(5)), ("up", "down")[i % 2]] for i in range(64)]
            with path.open("w", encoding="utf-8", newline="") as file:
                csv.writer(file).writerows([["text", "mood"], *rows])
        return path


def specs() -> dict[str, Spec]:
    """Give a spec for each kind of input, with a target that suits it."""
    label = Target(kind="class", classes=CLASSES)
    picture = Field(kind="image", shape=(3, 32, 32), dtype="uint8", range=(0, 255))
    volume = Field(kind="volume", shape=(1, 16, 16, 16), dtype="int16", range=(-100, 100))
    colour = Column(name="colour", kind="category", categories=("red", "blue"))
    columns = (Column(name="length"), Column(name="width"), colour)
    tokens = Field(kind="tokens", shape=(12,), dtype="int64", range=(0, 8))
    letters = tuple("abcdefgh ")
    return {
        "images with a class": Spec(fields=(picture,), target=label),
        "images with a mask": Spec(
            fields=(picture,), target=Target(kind="mask", classes=CLASSES, shape=(32, 32), dtype="int64")
        ),
        "tables with a class": Spec(
            fields=(Field(kind="table", shape=(3,), dtype="float32", columns=columns),), target=label
        ),
        "tables with a number": Spec(
            fields=(Field(kind="table", shape=(3,), dtype="float32", columns=columns),),
            target=Target(kind="number", dtype="float32"),
        ),
        "images with labels": Spec(
            fields=(picture,), target=Target(kind="labels", classes=CLASSES, shape=(3,), dtype="float32")
        ),
        "volumes with a class": Spec(fields=(volume,), target=label),
        "volumes with a mask": Spec(
            fields=(volume,), target=Target(kind="mask", classes=CLASSES, shape=(16, 16, 16), dtype="int64")
        ),
        "texts with a class": Spec(fields=(tokens,), target=label),
        "texts to go on with": Spec(
            fields=(tokens,), target=Target(kind="next-token", classes=letters, shape=(12,), dtype="int64")
        ),
        "sounds with a class": Spec(
            fields=(Field(kind="audio", shape=(1, 64), dtype="float32", range=(-1, 1)),), target=label
        ),
    }  # fmt: skip


def targets(spec: Spec, n: int, seed: int = 0) -> Tensor:
    """Draw targets (n, ...) of a spec: codes, labels or numbers."""
    import torch

    draws, target = torch.Generator().manual_seed(seed), spec.target
    shape = (n, *(axis or 8 for axis in target.shape))
    if target.kind == "number":
        return torch.randn(shape, generator=draws) * 3 + 7
    if target.kind == "labels":
        return (torch.rand(shape, generator=draws) < 0.5).float()
    return torch.randint(0, max(1, spec.classes), shape, generator=draws)
