"""The source `yolo`: a text file per image, with a line per box."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from benchdog.api import (
    IMAGE_SUFFIXES,
    MAX_IMAGE_BYTES,
    BadData,
    BadUsage,
    find_files,
    read_regular,
    read_text,
    shortlist,
)
from benchdog_detection.images import Annotations, BoxedImages, Listed, upright_size
from benchdog_detection.options import YoloOptions

SPLITS = {"train": "train", "val": "valid", "valid": "valid", "test": "test"}
NAMES = ("classes.txt", "obj.names")


class Yolo(BoxedImages):
    """Images with boxes from YOLO's text files: "code x-center y-center width height", as fractions of the image."""

    def __init__(self, options: YoloOptions) -> None:
        if options.path is None:
            raise BadUsage("The source yolo needs the path of a folder.", "Add --set source.path=FOLDER.")
        path = options.path
        super().__init__(options, lambda: read(path, options.names))


def read(path: Path, names: Path | None) -> Annotations:
    """Read a folder with images/ and labels/.

    Raises:
        BadData: a folder or the file of class names is missing.
    """
    for name in ("images", "labels"):
        if not (path / name).is_dir():
            raise BadData(f"{path} has no folder {name}.", "Set source.path to a folder with images/ and labels/.")
    classes = _names(path, names)
    found = Annotations(folder=path / "images", classes=classes, images=[])
    files = find_files(found.folder, IMAGE_SUFFIXES, "not images")
    found.skipped |= {reason: len(skipped) for reason, skipped in files.skipped.items()}
    labels = {
        PurePosixPath(name).with_suffix("").as_posix() for name in find_files(path / "labels", (".txt",), "").files
    }
    for name in files.files:
        parts = PurePosixPath(name)
        stem = parts.with_suffix("").as_posix()
        split = SPLITS.get(parts.parts[0], "") if len(parts.parts) > 1 else ""
        boxes = []
        if stem in labels:
            labels.discard(stem)
            boxes = _boxes(path / "labels" / f"{stem}.txt", found.folder / name, found)
        found.images.append(Listed(name=name, boxes=boxes, split=split))
    if labels:
        found.notes.append(f"{len(labels)} files in labels/ belong to no image: {shortlist(sorted(labels))}.")
    return found


def _names(path: Path, names: Path | None) -> tuple[str, ...]:
    place = names or next((path / name for name in NAMES if (path / name).is_file()), None)
    if place is None:
        raise BadData(
            f"{path} has no file of class names ({' or '.join(NAMES)}).",
            "Write one name per line, the class with the code 0 first, or name the file: --set source.names=FILE.",
        )
    found = tuple(line.strip() for line in read_text(place).splitlines() if line.strip())
    if not found or len(set(found)) < len(found):
        raise BadData(f"{place} has no class names, or one of them twice.", "Write one name per line.")
    return found


def _boxes(labels: Path, image: Path, found: Annotations) -> list[tuple[float, ...]]:
    """Return the boxes of a file of labels, in pixels; lines that are none are noted as faults."""
    try:
        width, height = upright_size(read_regular(image, MAX_IMAGE_BYTES))
    except (BadData, OSError, ValueError, SyntaxError):
        return []  # noted when images are inspected
    boxes: list[tuple[float, ...]] = []
    for number, line in enumerate(read_text(labels).splitlines(), 1):
        if not line.strip():
            continue
        where = f"labels/{labels.name}, line {number}"
        try:
            code, x, y, w, h = (float(word) for word in line.split())
        except ValueError:
            found.faults.append(f"{where}: it isn't five numbers")
            continue
        if code != int(code) or not 0 <= code < len(found.classes):
            found.faults.append(f"{where}: there is no class {code:g}, but 0 to {len(found.classes) - 1}")
            continue
        boxes.append(((x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height, code))
    return boxes
