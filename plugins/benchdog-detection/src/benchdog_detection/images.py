"""What both sources share: images with boxes are checked, resized and split."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from benchdog.api import (
    IMAGE_FORMATS,
    MAX_IMAGE_BYTES,
    BadData,
    BadUsage,
    Field,
    Preprocess,
    Raw,
    SampleCounts,
    Spec,
    Target,
    lacking_notes,
    read_regular,
    shortlist,
    split_of,
)
from benchdog_detection.boxes import PADDING
from benchdog_detection.options import BoxOptions

SPLITS = ("train", "valid", "test")
MAX_NATIVE_SIZE = 512
"""Images of one size up to this are not resized."""
DEFAULT_SIZE = 256
TURNED = (5, 6, 7, 8)
"""EXIF orientations that exchange width and height."""
ORIENTATION = 0x0112
SHOWN = 20


@dataclass(kw_only=True)
class Listed:
    """An image that annotations list, with its boxes as they are written there.

    Attributes:
        name: its path relative to the folder of images; the sample's id.
        boxes: (x1, y1, x2, y2, class code) each, in pixels of the image, upright.
        split: "train", "valid", "test", or "" where the data doesn't say.
        size: width and height as the annotations say, if they do.
    """

    name: str
    boxes: list[tuple[float, ...]]
    split: str = ""
    size: tuple[int, int] | None = None


@dataclass(kw_only=True)
class Annotations:
    """What a reader found.

    Attributes:
        folder: of the images.
        faults: what is wrong, one line each; images and boxes with such a fault are left out.
        skipped: images that are not used, by reason.
    """

    folder: Path
    classes: tuple[str, ...]
    images: list[Listed]
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    skipped: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Labeled:
    """An image that is used: its boxes (n, 5) are in pixels of the decoded image."""

    path: Path
    name: str
    boxes: np.ndarray


class BoxedImages:
    """A source of images with boxes; `read` lists them, in whichever format."""

    def __init__(self, options: BoxOptions, read: Callable[[], Annotations]) -> None:
        if options.valid + options.test >= 1:
            raise BadUsage(
                f"valid = {options.valid} and test = {options.test} leave no training data.", "Use smaller fractions."
            )
        self.options = options
        self.notes: list[str] = []
        self.counts: SampleCounts | None = None
        self._read = read
        self._cut: Counter[str] = Counter()  # boxes beyond the edge, by image
        self._loaded: tuple[Spec, dict[str, list[Labeled]]] | None = None

    def spec(self) -> Spec:
        """Describe uint8 images of one size, and boxes."""
        return self._load()[0]

    def preprocess(self, spec: Spec) -> Preprocess:
        """Return the decode operation for that size, and standardization."""
        _, height, width = spec.fields[0].shape
        image = {"op": "image", "mode": self.options.mode, "height": height, "width": width}
        return Preprocess(decode={"input": [image]}, transform={"input": [{"op": "standardise", "axes": "channel"}]})

    def open(self) -> dict[str, BoxSplit]:
        """Return the images of each split."""
        return {name: BoxSplit(images) for name, images in self._load()[1].items()}

    def _load(self) -> tuple[Spec, dict[str, list[Labeled]]]:
        if self._loaded is None:
            found = self._read()
            self.notes = list(found.notes)
            sizes, contents = self._inspect(found)
            listed = [image for image in found.images if image.name in sizes]
            height, width = self._size([sizes[image.name] for image in listed])
            boxes = {image.name: self._boxes(image, sizes[image.name], found) for image in listed}
            self._judge(found)
            if not any(map(len, boxes.values())):
                raise BadData(f"None of the {len(listed)} images in {found.folder} has a box.", "Annotate some.")
            scales = {name: np.array([width / w, height / h] * 2) for name, (w, h) in sizes.items()}
            for name, rows in boxes.items():
                rows[:, :4] *= scales[name]
            found.skipped = {reason: n for reason, n in found.skipped.items() if n}
            total = len(listed) + sum(found.skipped.values())
            self.counts = SampleCounts(found=total, used=len(listed), skipped=found.skipped, unit="images")
            parts = self._split(found, listed, boxes, contents)
            self._note_classes(found.classes, parts)
            channels = 3 if self.options.mode == "RGB" else 1
            image = Field(kind="image", shape=(channels, height, width), dtype="uint8", range=(0, 255))
            target = Target(
                kind="boxes",
                name="boxes",
                classes=found.classes,
                shape=(None, 5),
                dtype="float32",
                padding=PADDING,
            )
            self._loaded = Spec(fields=(image,), target=target), parts
        return self._loaded

    def _inspect(self, found: Annotations) -> tuple[dict[str, tuple[int, int]], dict[str, bytes]]:
        """Return width and height, upright, and a hash of each image that can be read; note faults of the others."""
        sizes, contents = {}, {}
        for image in found.images:
            try:
                data = read_regular(found.folder / image.name, MAX_IMAGE_BYTES)
                sizes[image.name] = size = upright_size(data)
                contents[image.name] = hashlib.sha256(data).digest()
            except FileNotFoundError:
                found.faults.append(f"{image.name}: there is no such file in {found.folder}")
            except (BadData, OSError, ValueError, SyntaxError) as error:
                text = error.message if isinstance(error, BadData) else str(error)
                found.faults.append(f"{image.name}: it can't be read as an image: {text.rstrip('.')[:120]}")
            else:
                if image.size not in (None, size):
                    found.faults.append(f"{image.name}: it is {size}, the annotations say {image.size}")
                    del sizes[image.name]
        found.skipped["unusable"] = len(found.images) - len(sizes)
        return sizes, contents

    def _size(self, sizes: Sequence[tuple[int, int]]) -> tuple[int, int]:
        """Return height and width that images are resized to."""
        if self.options.size or not sizes:
            return self.options.size or DEFAULT_SIZE, self.options.size or DEFAULT_SIZE
        if len(set(sizes)) == 1 and max(sizes[0]) <= MAX_NATIVE_SIZE:
            return sizes[0][1], sizes[0][0]
        self.notes.append(f"Images are resized to {DEFAULT_SIZE}x{DEFAULT_SIZE} pixels (option size).")
        return DEFAULT_SIZE, DEFAULT_SIZE

    def _boxes(self, image: Listed, size: tuple[int, int], found: Annotations) -> np.ndarray:
        """Return an image's boxes (n, 5), cut off at its edges; note those that are none."""
        kept = []
        for number, (x1, y1, x2, y2, code) in enumerate(image.boxes, 1):
            where = f"{image.name}, box {number}"
            if not np.isfinite([x1, y1, x2, y2]).all():
                found.faults.append(f"{where}: a corner is not a number")
            elif x2 <= x1 or y2 <= y1:
                found.faults.append(f"{where}: width {x2 - x1:g}, height {y2 - y1:g}")
            elif x2 <= 0 or y2 <= 0 or x1 >= size[0] or y1 >= size[1]:
                found.faults.append(f"{where}: outside the image")
            else:
                cut = (max(x1, 0.0), max(y1, 0.0), min(x2, float(size[0])), min(y2, float(size[1])))
                if max(abs(a - b) for a, b in zip(cut, (x1, y1, x2, y2), strict=True)) > 1:
                    self._cut[image.name] += 1
                kept.append((*cut, code))
        return np.array(kept, np.float32).reshape(-1, 5)

    def _judge(self, found: Annotations) -> None:
        """Raise BadData that lists what is wrong, or leave it out with a note."""
        if self._cut:
            count = sum(self._cut.values())
            self.notes.append(f"{count} boxes reach beyond their image and are cut off: {shortlist(self._cut)}.")
        if not found.faults:
            return
        if self.options.bad == "report":
            more = f"\n  and {len(found.faults) - SHOWN} more" if len(found.faults) > SHOWN else ""
            lines = "\n".join(f"  {fault}" for fault in found.faults[:SHOWN])
            raise BadData(
                f"{len(found.faults)} boxes or images of {found.folder} can't be used:\n{lines}{more}",
                'Correct them, or leave them out: --set source.bad="skip".',
            )
        self.notes.append(f"Left out, {len(found.faults)} boxes or images: {shortlist(found.faults)}.")

    def _split(
        self,
        found: Annotations,
        listed: Sequence[Listed],
        boxes: Mapping[str, np.ndarray],
        contents: Mapping[str, bytes],
    ) -> dict[str, list[Labeled]]:
        options, given = self.options, {image.split for image in listed} - {""}
        shares = {
            "valid": 0.0 if "valid" in given else options.valid,
            "test": 0.0 if "test" in given else options.test,
        }
        parts: dict[str, list[Labeled]] = {name: [] for name in SPLITS}
        for image in listed:
            place = image.split
            if place in ("", "train"):
                place = split_of(contents[image.name], **shares, seed=options.split_seed)
            path = found.folder / image.name
            parts[place].append(Labeled(path=path, name=image.name, boxes=boxes[image.name]))
        if not parts["test"]:
            del parts["test"]
        return parts

    def _note_classes(self, classes: tuple[str, ...], parts: Mapping[str, Sequence[Labeled]]) -> None:
        counts = {
            name: np.sum([np.bincount(i.boxes[:, 4].astype(int), minlength=len(classes)) for i in images], 0).tolist()
            for name, images in parts.items()
            if images
        }
        self.notes += lacking_notes(classes, counts, what="Class", unit="box")


class BoxSplit:
    """A split of image files, read on access."""

    def __init__(self, images: Sequence[Labeled]) -> None:
        self._images = images
        self.targets = [image.boxes for image in images]

    def __len__(self) -> int:
        return len(self._images)

    def id(self, i: int) -> str:
        """Return the id of a sample, without reading its file."""
        return self._images[i].name

    def raw(self, i: int) -> Raw:
        """Read one file."""
        image = self._images[i]
        try:
            data = read_regular(image.path, MAX_IMAGE_BYTES)
        except OSError as error:
            raise BadData(f"{image.path} can't be read: {error.strerror or error}.") from None
        return Raw(id=image.name, fields={"input": data}, target=image.boxes)


def upright_size(data: bytes) -> tuple[int, int]:
    """Return width and height of an image file as it is shown: EXIF may turn it."""
    with Image.open(BytesIO(data), formats=[each.name for each in IMAGE_FORMATS]) as image:
        turned = image.getexif().get(ORIENTATION) in TURNED
        return (image.height, image.width) if turned else (image.width, image.height)
