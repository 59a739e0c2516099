"""Images in folders named after their classes, or listed in a CSV file."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from statistics import median
from typing import Any

from benchdog.api import (
    MAX_IMAGE_BYTES,
    BadData,
    BadUsage,
    Cache,
    Field,
    Preprocess,
    Raw,
    SampleCounts,
    Spec,
    Target,
    class_names,
    class_spellings,
    lacking_notes,
    read_regular,
    shortlist,
    spelling_notes,
)
from benchdog.builtin.sources.images.finding import WHOLE, FoundImages, find_images
from benchdog.builtin.sources.images.inspection import ImageInfo, image_preprocess, inspect
from benchdog.builtin.sources.images.listing import LabeledImage, rarest_labels, target_of, targets_of
from benchdog.builtin.sources.messages import existing_path
from benchdog.builtin.sources.options import ImageFolderOptions
from benchdog.builtin.sources.splitting import SPLITS, count_overlap, split_with_given

MAX_NATIVE_SIZE = 256
"""Images of one size up to this are not resized."""
DEFAULT_SIZE = 128
"""Size to which other images are resized at most, unless an option sets it."""
TWELVE_BITS = 4095
"""16-bit images that never exceed this come from a 12-bit camera or scanner."""
NO_CLASS = Target(kind="none", name="class", shape=(0,), dtype="uint8")
MIN_CLASS_IMAGES = 3
"""Fewer images of a class can't be in train, valid and test."""


class ImageFolder:
    """Images in class folders or listed in a CSV file; each file is inspected once before training."""

    def __init__(self, options: ImageFolderOptions) -> None:
        self.options = options
        self.notes: list[str] = []
        self.seen: dict[str, int] = {}
        self.counts: SampleCounts | None = None
        self._cache: Path | None = None
        self._contents: dict[str, bytes] = {}
        self._loaded: tuple[Spec, dict[str, list[LabeledImage]]] | None = None
        if options.labels and options.unlabeled == WHOLE:
            raise BadUsage("source.labels lists classes, and source.unlabeled says that there are none.", "Drop one.")
        for given, what in (
            ("label_separator", "separates the labels"),
            ("weight", "is a column"),
            ("na_values", "are words"),
        ):
            if getattr(options, given) and not options.labels:
                raise BadUsage(
                    f"{given} {what} of a CSV file, but source.labels is not set.", "Set it: source.labels = PATH."
                )
        if options.labels and not options.path:
            self.folder = options.labels.parent
        else:
            self.folder = existing_path(options.path, "image-folder", "a folder with a folder per class")

    def fetch(self, cache: Cache) -> None:
        """Set the folder of the inspection cache; nothing is downloaded."""
        self._cache = cache.folder

    def spec(self) -> Spec:
        """Describe uint8 images of one size, and the classes in natural order."""
        return self._load()[0]

    def preprocess(self, spec: Spec) -> Preprocess:
        """Return the decode operation for that size and color mode, and standardization."""
        return image_preprocess(spec)

    def open(self) -> dict[str, ImageFileSplit]:
        """Return the files of each split."""
        spec, parts = self._load()
        targets = {"unlabeled": NO_CLASS}
        return {
            name: ImageFileSplit(self.folder, images, targets.get(name, spec.target), self._contents)
            for name, images in parts.items()
        }

    def _load(self) -> tuple[Spec, dict[str, list[LabeledImage]]]:
        if self._loaded is None:
            self.notes.clear()
            found = find_images(self.folder, self.options, self.notes)
            every = [*found.images, *found.bare]
            infos, self._contents = inspect(self.folder, [image.path for image in every], self._cache)
            images, bare = (self._whole(each, infos) if each else [] for each in (found.images, found.bare))
            self.counts = _count(found, len(images) + len(bare))
            images, classes = (images, ()) if self.options.unlabeled == WHOLE else self._classes(images)
            parts = self._parts(images, infos)
            if classes:
                self._note_classes(classes, parts)
            self.seen = _overlap(parts, infos)
            self._note_pixels(images, infos)
            self._note_copies(images, infos)
            target = target_of(classes, bool(self.options.label_separator)) if classes else NO_CLASS
            parts |= {"unlabeled": bare} if bare else {}
            field = self._field([infos[image.path] for image in images])
            self._loaded = Spec(fields=(field,), target=target), parts
        return self._loaded

    def _whole(self, images: Sequence[LabeledImage], infos: dict[str, ImageInfo]) -> list[LabeledImage]:
        """Leave out damaged files, or raise BadData that lists them."""
        bad = [p.path for p in images if infos[p.path].fault]
        if not bad:
            return list(images)
        if self.options.bad == "report":
            lines = "\n".join(f"  {path}: {infos[path].fault}" for path in bad)
            raise BadData(
                f"{len(bad)} of {len(images)} files in {self.folder} can't be used:\n{lines}",
                'Correct or remove them, or leave them out: --set source.bad="skip".',
            )
        if len(bad) == len(images):
            raise BadData(f"Every file in {self.folder} is damaged, such as {bad[0]}: {infos[bad[0]].fault}.")
        self.notes.append(f"{len(bad)} damaged files are skipped: {shortlist(bad)}.")
        return [p for p in images if not infos[p.path].fault]

    def _classes(self, images: Sequence[LabeledImage]) -> tuple[list[LabeledImage], tuple[str, ...]]:
        """Return the images labeled with class names, which can have several spellings, and the classes in order."""
        spelled = class_spellings(label for p in images for label in p.labels)
        self.notes += spelling_notes(spelled)
        images = [replace(p, labels=tuple(dict.fromkeys(spelled[label] for label in p.labels))) for p in images]
        counts = Counter(label for p in images for label in p.labels)
        if len(counts) < 2:
            names = ", ".join(map(repr, counts)) or "none"
            raise BadData(f"{self.folder} has one class, {names}.", "Classification needs at least two.")
        rare = {label: n for label, n in counts.items() if n < MIN_CLASS_IMAGES}
        if rare and not any(p.split for p in images):
            shown = shortlist((f"{label!r} has {n}" for label, n in sorted(rare.items())), 20)
            raise BadData(
                f"Each class needs {MIN_CLASS_IMAGES} images, one each for train, valid and test; {shown}.",
                "Add images to it or remove it.",
            )
        return images, class_names(counts)

    def _parts(self, images: list[LabeledImage], infos: dict[str, ImageInfo]) -> dict[str, list[LabeledImage]]:
        """Split by content or group, except for splits that have folders."""
        options = self.options
        keys = list(map(_group, images)) if options.group else _content_keys(images, infos)
        places = split_with_given(
            keys, rarest_labels(images), [p.split for p in images],
            valid=options.valid, test=options.test, seed=options.split_seed,
        )  # fmt: skip
        parts = {split: [images[i] for i in at] for split, at in places.items()}
        known = {label for p in parts["train"] for label in p.labels}
        for split in SPLITS:
            if not parts[split]:
                raise BadData(f"{self.folder}: no image is left for {split}.", "Add images or groups.")
            unseen = sorted({label for p in parts[split] for label in p.labels} - known)
            if unseen:
                raise BadData(f"{self.folder}: no training image of the class {shortlist(unseen)}.")
        return parts

    def _note_classes(self, classes: tuple[str, ...], parts: dict[str, list[LabeledImage]]) -> None:
        """Add notes on classes that a split lacks."""
        counts = {split: Counter(label for p in images for label in p.labels) for split, images in parts.items()}
        by_class = {split: [count[name] for name in classes] for split, count in counts.items()}
        what = "Label" if self.options.label_separator else "Class"
        self.notes += lacking_notes(classes, by_class, what=what, unit="image")

    def _note_copies(self, images: Sequence[LabeledImage], infos: dict[str, ImageInfo]) -> None:
        labels: dict[str, set[str]] = {}
        for p in images:
            labels.setdefault(infos[p.path].pixels, set()).add(p.label)
        conflicting = [p.path for p in images if len(labels[infos[p.path].pixels]) > 1]
        if conflicting:
            self.notes.append(f"Equal images have different classes: {shortlist(conflicting)}.")
        copies = len(images) - len(labels)
        if copies:
            together = "" if self.seen else "; kept in one split"
            self.notes.append(f"{copies} duplicate images, pixel by pixel{together}.")

    def _note_pixels(self, images: Sequence[LabeledImage], infos: dict[str, ImageInfo]) -> None:
        deep = [p.path for p in images if infos[p.path].peak >= 0]
        peak = max((infos[path].peak for path in deep), default=0)
        if deep and peak <= TWELVE_BITS:
            self.notes.append(
                f"{len(deep)} images of 16 bits have no value above {peak:,}: they appear dark, 65,535 is white. "
                f"Rescale them if they have fewer bits: {shortlist(deep)}."
            )
        if paged := [p.path for p in images if infos[p.path].paged]:
            self.notes.append(
                f"Only the first frame or page of animations and multi-page files is used: {shortlist(paged)}."
            )

    def _field(self, infos: Sequence[ImageInfo]) -> Field:
        """Return the input field: height, width and color mode."""
        options = self.options
        grey = all(f.grey for f in infos) if options.mode == "auto" else options.mode == "L"
        height, width = options.height or options.size, options.width or options.size
        if bool(height) != bool(width):
            raise BadUsage("height and width must be set together.", "Set both, or size.")
        if not height:
            height, width = self._size(infos)
        return Field(kind="image", shape=(1 if grey else 3, height, width), dtype="uint8", range=(0, 255))

    def _size(self, infos: Sequence[ImageInfo]) -> tuple[int, int]:
        sizes = {(f.height, f.width) for f in infos}
        if len(sizes) == 1 and max(next(iter(sizes))) <= MAX_NATIVE_SIZE:
            return next(iter(sizes))
        side = min(DEFAULT_SIZE, int(median(min(f.height, f.width) for f in infos)))
        heights, widths = (_span([size[axis] for size in sizes]) for axis in (0, 1))
        self.notes.append(
            f"Images of heights {heights} and widths {widths} are resized to {side}x{side} pixels (option size)."
        )
        return side, side


class ImageFileSplit:
    """A split of image files, read on access; a raw sample is a file's bytes.

    `contents` are bytes that the inspection has read: each is used once, then the file is read.
    """

    def __init__(
        self, folder: Path, images: Sequence[LabeledImage], target: Target, contents: dict[str, bytes]
    ) -> None:
        self.folder = folder
        self._contents = contents
        self.images = images
        self.targets: Any = None if target.kind == "none" else targets_of(images, target)

    def __len__(self) -> int:
        return len(self.images)

    def id(self, i: int) -> str:
        """Return the id of a sample, without reading its file."""
        return self.images[i].path

    def raw(self, i: int) -> Raw:
        """Read one file."""
        name = self.images[i].path
        try:
            data = self._contents.pop(name, b"") or read_regular(self.folder / name, MAX_IMAGE_BYTES)
        except OSError as error:
            raise BadData(f"{self.folder / name} can't be read: {error.strerror or error}.") from None
        target = None if self.targets is None else self.targets[i]
        return Raw(id=name, fields={"input": data}, target=target, weight=self.images[i].weight)


def _span(values: Sequence[int]) -> str:
    low, high = min(values), max(values)
    return f"{low}-{high}" if low < high else f"{low}"


def _count(found: FoundImages, used: int) -> SampleCounts:
    """Count the images that are used, and the files that are skipped by reason."""
    damaged = len(found.images) + len(found.bare) - used
    skipped = {reason: len(names) for reason, names in found.skipped.items()} | {"damaged": damaged}
    total = len(found.images) + len(found.bare) + sum(map(len, found.skipped.values()))
    return SampleCounts(found=total, used=used, skipped={r: n for r, n in skipped.items() if n}, unit="files")


def _content_keys(images: Sequence[LabeledImage], infos: dict[str, ImageInfo]) -> list[bytes]:
    """Return what decides the split of each image: the hash of its file, of equal images the smallest.

    The hash of the pixels alone would assign all data sets to other splits than before.
    """
    smallest: dict[str, str] = {}
    for info in (infos[image.path] for image in images if image.split in ("", "train")):
        smallest[info.pixels] = min(info.sha256, smallest.get(info.pixels, info.sha256))
    return [smallest.get(info.pixels, info.sha256).encode() for info in (infos[image.path] for image in images)]


def _overlap(parts: dict[str, list[LabeledImage]], infos: dict[str, ImageInfo]) -> dict[str, int]:
    """Count, by split, the images that are equal to images in an earlier split."""
    files = [image.path for images in parts.values() for image in images]
    contents = {path: infos[path].pixels for path in files}
    return count_overlap(contents, {split: [p.path for p in images] for split, images in parts.items()})


def _group(image: LabeledImage) -> bytes:
    """Return the group of a file: its path up to the last _ or -, which is the same for frames of one video."""
    path = PurePosixPath(image.path)
    stem = re.sub(r"[_-][^_-]*$", "", path.stem)
    return f"{path.parent}/{stem}".encode()
