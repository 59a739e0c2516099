"""The command make-data: images of colored shapes on noise, and their boxes in COCO's format."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

SIZE, MOST = 64, 4
NAMES = ("disc", "square", "cross")


def shape(name: str, side: int) -> np.ndarray:
    """Return a shape that fills a square of `side` pixels, as a mask."""
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    if name == "disc":
        return x**2 + y**2 <= (side / 2) ** 2
    third = side / 6
    return np.ones((side, side), bool) if name == "square" else (abs(x) <= third) | (abs(y) <= third)


def sample(number: int) -> tuple[np.ndarray, list[tuple[int, list[int]]]]:
    """Return image `number` (H, W, 3), and category and box (x, y, width, height) of each shape on it."""
    draw = np.random.default_rng([7, number])
    image = draw.normal(90, 25, (SIZE, SIZE, 3))
    taken, boxes = np.zeros((SIZE, SIZE), bool), []
    for _ in range(draw.integers(0, MOST + 1)):  # some images hold nothing
        side, code = int(draw.integers(10, 26)), int(draw.integers(len(NAMES)))
        x, y = (int(place) for place in draw.integers(0, SIZE - side, 2))
        if taken[y : y + side, x : x + side].any():
            continue
        taken[y : y + side, x : x + side] = True
        color = draw.uniform(120, 255, 3) * draw.permutation([1.0, 0.6, 0.3])
        image[y : y + side, x : x + side][shape(NAMES[code], side)] = color
        boxes.append((code + 1, [x, y, side, side]))
    return image.clip(0, 255).astype(np.uint8), boxes


def write(folder: Path, count: int) -> None:
    """Write `count` images and annotations.json into a folder."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    images, annotations = [], []
    for number in range(count):
        pixels, boxes = sample(number)
        name = f"{number:04d}.png"
        Image.fromarray(pixels).save(folder / "images" / name)
        images.append({"id": number, "file_name": name, "width": SIZE, "height": SIZE})
        for code, box in boxes:
            annotations.append({"id": len(annotations), "image_id": number, "category_id": code, "bbox": box})
    categories = [{"id": code, "name": name} for code, name in enumerate(NAMES, 1)]
    document = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "annotations.json").write_text(json.dumps(document))


def command(count: int = 600, folder: Path = Path("data")) -> None:
    """Write images of shapes, and their boxes."""
    write(folder, count)
