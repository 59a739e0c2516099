"""The command make-data: pictures of houses, and a table with what else is known of them."""

import csv
from pathlib import Path

import numpy as np
from PIL import Image

SIZE = 24
TOWNS = ("Bern", "Oslo", "Rome")


def house(number: int) -> tuple[np.ndarray, dict[str, object]]:
    """Return picture `number` (H, W, 3) and its row: the windows are on the picture, area and town in the table."""
    draw = np.random.default_rng([11, number])
    picture = draw.normal(120, 25, (SIZE, SIZE, 3))
    windows = int(draw.integers(1, 5))
    for place in draw.permutation(9)[:windows]:
        y, x = 2 + 8 * (place // 3), 2 + 8 * (place % 3)
        picture[y : y + 4, x : x + 4] = (240, 230, 120)
    area, town = float(draw.uniform(40, 200)), TOWNS[draw.integers(len(TOWNS))]
    worth = 25 * windows + area / 2 + {"Bern": 40, "Oslo": 10, "Rome": -20}[town]
    row = {
        "photo": f"photos/{number}.png",
        "area": f"{area:.0f}",
        "town": town,
        "price": "high" if worth > 135 else "low",
    }
    return picture.clip(0, 255).astype(np.uint8), row


def command(count: int = 800) -> None:
    """Write `count` pictures and houses.csv into the folder data; new.csv has five houses without a price."""
    folder = Path("data")
    (folder / "photos").mkdir(parents=True, exist_ok=True)
    for name, numbers in (("houses.csv", range(count)), ("new.csv", range(count, count + 5))):
        with (folder / name).open("w", encoding="utf-8", newline="") as file:
            known = ["photo", "area", "town", *(["price"] if name == "houses.csv" else [])]
            table = csv.DictWriter(file, known, extrasaction="ignore")
            table.writeheader()
            for number in numbers:
                picture, row = house(number)
                Image.fromarray(picture).save(folder / str(row["photo"]))
                table.writerow(row)
