"""A source of two inputs per sample, a picture and a table row, and a network that joins them."""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from benchdog.api import BadData, Column, Doc, Field, ModelInfo, Raw, SourceInfo, Spec, Target, hookimpl

CONTRACT = 1
SIZE = 24


@hookimpl
def benchdog_sources():
    return [
        SourceInfo(name="houses", summary="Pictures and rows.", target=":Houses", options=":Options", named_by="path")
    ]


@hookimpl
def benchdog_models():
    return [ModelInfo(name="two-towers", summary="A tower per input, joined.", target=":build")]


@dataclass(frozen=True, kw_only=True)
class Options:
    path: Annotated[Path, Doc("The table; its column photo has paths from its folder.")]


class Houses:
    def __init__(self, options):
        self.path = options.path
        try:
            with self.path.open(encoding="utf-8", newline="") as file:
                self.rows = list(csv.DictReader(file))
        except OSError as error:
            raise BadData(f"{self.path} can't be read: {error.strerror}.", "Run make-data first.") from None

    def spec(self):
        towns = tuple(sorted({row["town"] for row in self.rows}))
        columns = (Column(name="area"), Column(name="town", kind="category", categories=towns))
        photo = Field(name="photo", kind="image", shape=(3, SIZE, SIZE), dtype="uint8", range=(0, 255))
        facts = Field(name="facts", kind="table", shape=(2,), dtype="float32", columns=columns)
        return Spec(fields=(photo, facts), target=Target(kind="class", name="price", classes=("low", "high")))

    def open(self):
        return [self.sample(row) for row in self.rows]

    def sample(self, row):
        picture = (self.path.parent / row["photo"]).read_bytes()
        fields = {"photo": picture, "facts": {"area": row["area"], "town": row["town"]}}
        return Raw(id=row["photo"], fields=fields, target=("low", "high").index(row["price"]))


def build(spec, options=None):
    from torch import cat, nn

    photo, facts = spec.fields

    class TwoTowers(nn.Module):
        def __init__(self):
            super().__init__()
            first, second = nn.Conv2d(photo.shape[0], 16, 3, padding=1), nn.Conv2d(16, 32, 3, padding=1)
            pool = nn.MaxPool2d(2)
            self.eye = nn.Sequential(first, nn.ReLU(), pool, second, nn.ReLU(), pool, nn.Flatten())
            self.ledger = nn.Sequential(nn.Linear(facts.shape[0], 32), nn.ReLU())
            pixels = 32 * (photo.shape[1] // 4) * (photo.shape[2] // 4)
            self.judge = nn.Sequential(nn.Linear(pixels + 32, 64), nn.ReLU(), nn.Linear(64, spec.outputs))

        def forward(self, image, row):
            return self.judge(cat([self.eye(image), self.ledger(row)], 1))

    return TwoTowers()
