"""Sample files for the documentation: small synthetic tables, images and texts."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

THINGS = ["dog", "cat", "bench", "lathe", "saw", "plane", "oak", "ash"]
DEEDS = ["holds", "drops", "turns", "finds"]


def _rows(place: Path, header: str, rows: list[list[object]]) -> None:
    lines = [header, *(",".join(map(str, row)) for row in rows)]
    place.write_text("\n".join(lines) + "\n", encoding="utf-8")


def wines(place: Path) -> None:
    """Write a table with numbers, a category and missing values; the last column is a grade from 4 to 7."""
    draw = random.Random(1)
    rows: list[list[object]] = []
    for _ in range(240):
        quality = draw.randint(4, 7)
        alcohol = round(7 + quality / 2 + draw.gauss(0, 0.4), 2)
        rows.append([alcohol, round(draw.uniform(2.8, 3.8), 2), draw.choice(["red", "white", ""]), quality])
    _rows(place, "alcohol,acid,color,quality", rows)


def shop(place: Path) -> None:
    """Write a table with an id, a price and a number sold."""
    draw = random.Random(2)
    rows: list[list[object]] = []
    for number in range(240):
        size, color = draw.randint(1, 9), draw.choice(["red", "blue"])
        price = round(2 * size + (3 if color == "red" else 0) + draw.gauss(0, 0.5), 2)
        rows.append([f"s{number:03}", size, color, price, draw.randint(0, 40)])
    _rows(place, "id,size,color,price,sold", rows)


def survey(place: Path) -> None:
    """Write survey answers with a weight for each row."""
    draw = random.Random(3)
    rows: list[list[object]] = []
    for _ in range(240):
        age = draw.randint(18, 90)
        answer = "yes" if age + draw.gauss(0, 12) > 50 else "no"
        rows.append([age, draw.choice("NSEW"), round(draw.uniform(0.5, 3), 2), answer])
    _rows(place, "age,region,design_weight,answer", rows)


def films(place: Path) -> None:
    """Write a multi-label table with three labels."""
    draw = random.Random(4)
    rows: list[list[object]] = []
    for _ in range(240):
        length, jokes = draw.randint(5, 180), draw.randint(0, 60)
        rows.append([length, jokes, int(jokes < 25), int(jokes > 20), int(length < 40)])
    _rows(place, "length,jokes,drama,comedy,short", rows)


def bikes(place: Path) -> None:
    """Write a table with two numeric targets."""
    draw = random.Random(5)
    rows: list[list[object]] = []
    for _ in range(240):
        hour, warm = draw.randint(0, 23), round(draw.uniform(-5, 35), 1)
        rows.append([hour, warm, round(3 * warm + 20 + draw.gauss(0, 5)), round(90 - 5 * abs(hour - 13))])
    _rows(place, "hour,warm,casual,registered", rows)


def talk(place: Path) -> None:
    """Write sentences labeled with a mood."""
    draw = random.Random(6)
    rows: list[list[object]] = []
    for _ in range(240):
        mood = draw.choice(["glad", "cross"])
        words = [draw.choice(THINGS + DEEDS) for _ in range(6)]
        words.insert(draw.randrange(6), "splendid" if mood == "glad" else "awful")
        rows.append([" ".join(words), mood])
    _rows(place, "sentence,mood", rows)


def novel(place: Path) -> None:
    """Write a text of 8,000 characters from a simple grammar."""
    draw = random.Random(7)
    text = ""
    while len(text) < 8_000:
        text += f"It is a truth that the {draw.choice(THINGS)} {draw.choice(DEEDS)} the {draw.choice(THINGS)} well.\n"
    place.write_text(text, encoding="utf-8")


def photos(place: Path) -> None:
    """Write a folder per class: colored circles and crosses."""
    from PIL import Image, ImageDraw

    draw = random.Random(8)
    for name in ("cross", "ring"):
        (place / name).mkdir(parents=True, exist_ok=True)
        for number in range(30):
            image = Image.new("RGB", (32, 32), (draw.randint(0, 60), draw.randint(0, 60), draw.randint(0, 60)))
            pen, x, y, r = ImageDraw.Draw(image), draw.randint(8, 24), draw.randint(8, 24), draw.randint(5, 7)
            if name == "ring":
                pen.ellipse([x - r, y - r, x + r, y + r], outline="white", width=2)
            else:
                pen.line([x - r, y, x + r, y], fill="white", width=2)
                pen.line([x, y - r, x, y + r], fill="white", width=2)
            image.save(place / name / f"{number:02}.png")


def photo(place: Path) -> None:
    """Write one color image."""
    from PIL import Image

    place.parent.mkdir(parents=True, exist_ok=True)
    Image.radial_gradient("L").convert("RGB").save(place)


def tagged(place: Path) -> None:
    """Write images with several labels each, in labels.csv."""
    photos(place)
    draw = random.Random(9)
    rows: list[list[object]] = []
    for file in sorted(place.rglob("*.png")):
        tags = [file.parent.name, *(["odd"] if draw.random() < 0.4 else [])]
        rows.append([file.relative_to(place).as_posix(), ";".join(tags)])
    _rows(place / "labels.csv", "path,label", rows)


def nets(place: Path) -> None:
    """Write a file with a model."""
    text = """from torch import nn


class Net(nn.Sequential):
    def __init__(self, spec):
        super().__init__(nn.Flatten(), nn.Linear(spec.channels * spec.size[0] * spec.size[1], spec.outputs))
"""
    place.write_text(text, encoding="utf-8")


def plugin(place: Path) -> None:
    """Write a plugin with a model."""
    text = """from benchdog.api import ModelInfo, hookimpl

CONTRACT = 1


@hookimpl
def benchdog_models():
    return [ModelInfo(name="tiny-net", summary="One layer.", target=":build")]


def build(spec):
    from torch import nn

    return nn.Sequential(nn.Flatten(), nn.LazyLinear(spec.outputs))
"""
    place.write_text(text, encoding="utf-8")


def digit(place: Path) -> None:
    """Write one of the bundled digits as an image file."""
    from benchdog.builtin.sources.images.digits import Digits
    from benchdog.builtin.sources.options import DigitsOptions

    place.write_bytes(Digits(DigitsOptions()).open()["test"].raw(0).fields["input"])


MAKERS: dict[str, Callable[[Path], None]] = {
    "wines.csv": wines,
    "shop.csv": shop,
    "survey.csv": survey,
    "films.csv": films,
    "bikes.csv": bikes,
    "talk.csv": talk,
    "novel.txt": novel,
    "my-photos": photos,
    "tagged": tagged,
    "photo.jpg": photo,
    "digit.png": digit,
    "my_nets.py": nets,
    "tiny_net.py": plugin,
}


def make(name: str, folder: Path) -> None:
    """Create the file or folder of that name."""
    place = folder / name.rstrip("/")
    if not place.exists():
        MAKERS[name.rstrip("/")](place)
