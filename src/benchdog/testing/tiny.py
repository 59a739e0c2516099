"""Small files of the usual forms, for sources that read one."""

from __future__ import annotations

import csv
import random
from pathlib import Path


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
                csv.writer(file).writerows([["text", "label"], *rows])
        return path
