"""The source `coco`: one JSON file with images, annotations and categories."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from benchdog.api import IMAGE_SUFFIXES, MAX_TEXT_BYTES, BadData, BadUsage, find_files, read_regular
from benchdog_detection.images import Annotations, BoxedImages, Listed
from benchdog_detection.options import CocoOptions


class Coco(BoxedImages):
    """Images with boxes from a COCO JSON file; categories are ordered by their id."""

    def __init__(self, options: CocoOptions) -> None:
        if options.path is None:
            raise BadUsage(
                "The source coco needs the path of a JSON file.", "Add --set source.path=annotations.json."
            )
        path = options.path
        super().__init__(options, lambda: read(path, options.images))


def read(path: Path, images: Path | None) -> Annotations:
    """Read a COCO file.

    Raises:
        BadData: it isn't one.
    """
    document = _document(path)
    folder = images or (path.parent / "images" if (path.parent / "images").is_dir() else path.parent)
    if not folder.is_dir():
        raise BadData(f"{folder} is not a folder.", "Name the folder of the images: --set source.images=FOLDER.")
    try:
        categories = sorted(document["categories"], key=lambda each: each["id"])
        codes = {each["id"]: code for code, each in enumerate(categories)}
        names = tuple(str(each["name"]) for each in categories)
        found = Annotations(folder=folder, classes=names, images=[])
        by_id: dict[Any, Listed] = {}
        for each in document["images"]:
            size = (int(each["width"]), int(each["height"])) if "width" in each and "height" in each else None
            by_id[each["id"]] = Listed(name=str(each["file_name"]), boxes=[], size=size)
        crowds = 0
        for each in document["annotations"]:
            where = f"annotation {each.get('id', '?')}"
            if each.get("iscrowd"):
                crowds += 1
            elif each["image_id"] not in by_id:
                found.faults.append(f"{where}: there is no image {each['image_id']}")
            elif each["category_id"] not in codes:
                found.faults.append(f"{where}: there is no category {each['category_id']}")
            else:
                x, y, width, height = map(float, each["bbox"])
                box = (x, y, x + width, y + height, codes[each["category_id"]])
                by_id[each["image_id"]].boxes.append(box)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        what = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        raise BadData(
            f"{path} is not a COCO file of boxes: {what}.",
            "It has images (id, file_name), annotations (image_id, category_id, bbox) and categories (id, name).",
        ) from None
    for what, values in (("category names", names), ("image files", [image.name for image in by_id.values()])):
        if twice := [value for value, count in Counter(values).items() if count > 1]:
            raise BadData(f"{path} has {what} twice: {', '.join(twice[:3])}.", "Give each a name of its own.")
    if not names:
        raise BadData(f"{path} has no categories.", "Each class is one: {'id': 1, 'name': 'cat'}.")
    found.images = list(by_id.values())
    if crowds:
        found.notes.append(f"{crowds} regions of crowds (iscrowd) are left out.")
    others = find_files(folder, IMAGE_SUFFIXES, "not images").files
    listed = {image.name for image in found.images}
    found.skipped["not in the file"] = sum(name not in listed for name in others)
    return found


def _document(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(read_regular(path, MAX_TEXT_BYTES))
    except OSError as error:
        raise BadData(
            f"{path} can't be read: {error.strerror or error}.", "Set source.path to a COCO file."
        ) from None
    except (ValueError, RecursionError) as error:
        raise BadData(f"{path} is not JSON: {error}.", "Set source.path to a COCO file.") from None
    if not isinstance(document, dict):
        raise BadData(f"{path} holds a {type(document).__name__}, not a COCO file's object.")
    return document
