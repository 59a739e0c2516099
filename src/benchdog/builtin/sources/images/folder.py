"""Images in folders named after their classes, or listed in a CSV file."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from statistics import median

from benchdog.api import IMAGE_SUFFIXES, BadData, BadUsage, Cache, Field, Preprocess, Raw, Spec, Target
from benchdog.builtin.sources.images.inspection import ImageInfo, inspect
from benchdog.builtin.sources.images.listing import (
    LabeledImage,
    rarest_labels,
    read_labels_file,
    target_of,
    targets_of,
)
from benchdog.builtin.sources.messages import existing_path, natural_key, shortened
from benchdog.builtin.sources.options import ImageFolderOptions
from benchdog.builtin.sources.splitting import SPLITS, count_overlap, split_by_content

SPLIT_FOLDERS = {"train": "train", "valid": "valid", "val": "valid", "validation": "valid", "test": "test"}
"""Folders that divide the files already."""
MAX_NATIVE_SIZE = 256
"""Images of one size up to this are used as they are."""
DEFAULT_SIZE = 128
"""The size that larger ones, or ones of many sizes, are brought to unless an option says otherwise."""
TWELVE_BITS = 4095
"""16-bit pixels that nowhere exceed this come from a camera or a scanner of fewer bits."""
MIN_CLASS_IMAGES = 3
"""A class of fewer images can't be in train, valid and test."""


class ImageFolder:
    """Every file is decoded once before training; the findings are kept in the cache."""

    def __init__(self, options: ImageFolderOptions) -> None:
        self.options = options
        self.notes: list[str] = []
        self.seen: dict[str, int] = {}
        self._cache: Path | None = None
        self._loaded: tuple[Spec, dict[str, list[LabeledImage]]] | None = None
        for given, what in (("label_separator", "parts the labels"), ("weight", "is a column")):
            if getattr(options, given) and not options.labels:
                raise BadUsage(f"{given} {what} of a CSV file, but none is given.", "Name it: source.labels = PATH.")
        if options.labels and not options.path:
            self.folder = options.labels.parent
        else:
            self.folder = existing_path(options.path, "image-folder", "a folder with a folder per class")

    def fetch(self, cache: Cache) -> None:
        """Remember where findings are kept; nothing is fetched."""
        self._cache = cache.folder

    def spec(self) -> Spec:
        """Describe uint8 images of one size, and the classes in natural order."""
        return self._load()[0]

    def preprocess(self, spec: Spec) -> Preprocess:
        """Give the decoding to that size and colour."""
        channels, height, width = spec.fields[0].shape
        image = {"op": "image", "mode": "L" if channels == 1 else "RGB", "height": height, "width": width}
        standardise = {"op": "standardise", "axes": "channel"}
        return Preprocess(decode={"input": [image]}, transform={"input": [standardise]})

    def open(self) -> dict[str, ImageFileSplit]:
        """Give the files of each split."""
        spec, parts = self._load()
        return {name: ImageFileSplit(self.folder, parts[name], spec.target) for name in SPLITS}

    def _load(self) -> tuple[Spec, dict[str, list[LabeledImage]]]:
        if self._loaded is None:
            self.notes.clear()
            options, labels = self.options, self.options.labels
            named = (options.label_separator, options.weight, self.notes)
            pictures = read_labels_file(labels, self.folder, *named) if labels else self._found()
            findings = inspect(self.folder, [picture.path for picture in pictures], self._cache)
            pictures = self._whole(pictures, findings)
            classes = self._classes(pictures)
            parts = self._parts(pictures, findings)
            self.seen = _overlap(parts, findings)
            self._note_pixels(pictures, findings)
            self._note_copies(pictures, findings)
            target = target_of(classes, bool(self.options.label_separator))
            field = self._field([findings[picture.path] for picture in pictures])
            self._loaded = Spec(fields=(field,), target=target), parts
        return self._loaded

    def _found(self) -> list[LabeledImage]:
        """Find files in split and class folders."""
        if not self.folder.is_dir():
            raise BadData(f"{self.folder} is not a folder.", "Give the folder that has a folder per class.")
        _check_utf8((path.relative_to(self.folder).as_posix() for path in _files(self.folder)), self.folder)
        given = {
            p.name: SPLIT_FOLDERS[p.name.lower()] for p in _folders(self.folder) if p.name.lower() in SPLIT_FOLDERS
        }
        divided = "train" in given.values()
        if divided:
            tops = [(self.folder / name, split) for name, split in sorted(given.items())]
        else:
            tops = [(self.folder, "")]
        pictures: list[LabeledImage] = []
        others = [p.name for p in _direct_files(self.folder)] if divided else []
        empty: list[str] = []
        for top, split in tops:
            beside = _direct_files(top)
            loose = [p.name for p in beside if p.suffix.lower() in IMAGE_SUFFIXES]
            others += [p.relative_to(self.folder).as_posix() for p in beside]
            if loose:
                loose.sort(key=natural_key)
                shown = shortened(loose, len(loose))
                raise BadData(
                    f"{len(loose)} images lie in {top} itself: {shown}.", "Put them into a folder per class."
                )
            for folder in _folders(top):
                before = len(pictures)
                for path in _files(folder):
                    name = path.relative_to(self.folder).as_posix()
                    if path.suffix.lower() in IMAGE_SUFFIXES:
                        pictures.append(LabeledImage(path=name, labels=(folder.name,), split=split))
                    else:
                        others.append(name)
                if len(pictures) == before:
                    empty.append(folder.relative_to(self.folder).as_posix())
        unused = [p.name for p in _folders(self.folder) if p.name not in given] if divided else []
        for names, what in (
            (others, "Files that are no images, left out"),
            (empty, "Class folders without an image"),
            (unused, "Folders beside those of the splits, not looked into"),
        ):
            if names:
                self.notes.append(f"{what}: {len(names):,} ({shortened(names, len(names))}).")
        if not pictures:
            endings = ", ".join(IMAGE_SUFFIXES)
            raise BadData(f"{self.folder} has no images in class folders.", f"Files must end in {endings}.")
        return pictures

    def _whole(self, pictures: Sequence[LabeledImage], findings: dict[str, ImageInfo]) -> list[LabeledImage]:
        """Leave out damaged files, or report them all."""
        bad = [p.path for p in pictures if findings[p.path].fault]
        if not bad:
            return list(pictures)
        if self.options.bad == "report":
            lines = "\n".join(f"  {path}: {findings[path].fault}" for path in bad)
            raise BadData(
                f"{len(bad)} of {len(pictures)} files in {self.folder} can't be used:\n{lines}",
                'Correct or remove them, or leave them out: --set source.bad="skip".',
            )
        if len(bad) == len(pictures):
            raise BadData(f"Every file in {self.folder} is damaged, such as {bad[0]}: {findings[bad[0]].fault}.")
        self.notes.append(f"{len(bad)} damaged files are left out: {shortened(bad, len(bad))}.")
        return [p for p in pictures if not findings[p.path].fault]

    def _classes(self, pictures: Sequence[LabeledImage]) -> tuple[str, ...]:
        counts = Counter(label for p in pictures for label in p.labels)
        if len(counts) < 2:
            found = ", ".join(map(repr, counts)) or "none"
            raise BadData(f"{self.folder} has one class, {found}.", "Two are needed to learn.")
        rare = {label: n for label, n in counts.items() if n < MIN_CLASS_IMAGES}
        if rare and not any(p.split for p in pictures):
            shown = shortened((f"{label!r} has {n}" for label, n in sorted(rare.items())), len(rare), 20)
            raise BadData(
                f"A class needs {MIN_CLASS_IMAGES} images, one each for train, valid and test; {shown}.",
                "Add images to it or remove it.",
            )
        return tuple(sorted(counts, key=natural_key))

    def _parts(self, pictures: list[LabeledImage], findings: dict[str, ImageInfo]) -> dict[str, list[LabeledImage]]:
        """Divide by content or group, but for splits that the folders give."""
        options = self.options
        given = {p.split for p in pictures} - {""}
        open_ = [p for p in pictures if p.split in ("", "train")]
        keys = [_group(p) if options.group else findings[p.path].sha256.encode() for p in open_]
        shares = {
            "valid": 0.0 if "valid" in given else options.valid,
            "test": 0.0 if "test" in given else options.test,
        }
        places = split_by_content(keys, rarest_labels(open_), **shares, seed=options.split_seed)
        parts = {split: [open_[i] for i in at] for split, at in places.items()}
        for split in given - {"train"}:
            parts[split] = [p for p in pictures if p.split == split]
        known = {label for p in parts["train"] for label in p.labels}
        for split in SPLITS:
            if not parts[split]:
                raise BadData(f"{self.folder}: no image is left for {split}.", "Add images or groups.")
            strange = sorted({label for p in parts[split] for label in p.labels} - known)
            if strange:
                raise BadData(f"{self.folder}: no training image of the class {shortened(strange, len(strange))}.")
        return parts

    def _note_copies(self, pictures: Sequence[LabeledImage], findings: dict[str, ImageInfo]) -> None:
        labels: dict[str, set[str]] = {}
        for p in pictures:
            labels.setdefault(findings[p.path].sha256, set()).add(p.label)
        torn = [p.path for p in pictures if len(labels[findings[p.path].sha256]) > 1]
        if torn:
            self.notes.append(f"Equal files have different classes: {shortened(torn, len(torn))}.")
        copies = len(pictures) - len(labels)
        if copies:
            together = "" if self.seen else "; copies stay in one split"
            self.notes.append(f"{copies} files are copies of others{together}.")

    def _note_pixels(self, pictures: Sequence[LabeledImage], findings: dict[str, ImageInfo]) -> None:
        deep = [p.path for p in pictures if findings[p.path].peak >= 0]
        peak = max((findings[path].peak for path in deep), default=0)
        if deep and peak <= TWELVE_BITS:
            self.notes.append(
                f"{len(deep)} images of 16 bits have no value above {peak:,}: they are dark, 65,535 is white. "
                f"Scale them when they have fewer bits: {shortened(deep, len(deep))}."
            )
        if paged := [p.path for p in pictures if findings[p.path].pages > 1]:
            self.notes.append(
                f"Of {len(paged)} files of several pages the first is used: {shortened(paged, len(paged))}."
            )

    def _field(self, findings: Sequence[ImageInfo]) -> Field:
        """Choose height, width and colour."""
        options = self.options
        grey = all(f.grey for f in findings) if options.mode == "auto" else options.mode == "L"
        height, width = options.height or options.size, options.width or options.size
        if bool(height) != bool(width):
            raise BadUsage("height and width belong together.", "Give both, or size.")
        if not height:
            height, width = self._size(findings)
        return Field(kind="image", shape=(1 if grey else 3, height, width), dtype="uint8", range=(0, 255))

    def _size(self, findings: Sequence[ImageInfo]) -> tuple[int, int]:
        sizes = {(f.height, f.width) for f in findings}
        if len(sizes) == 1 and max(next(iter(sizes))) <= MAX_NATIVE_SIZE:
            return next(iter(sizes))
        side = min(DEFAULT_SIZE, int(median(min(f.height, f.width) for f in findings)))
        heights, widths = (_span([size[axis] for size in sizes]) for axis in (0, 1))
        self.notes.append(
            f"Images of heights {heights} and widths {widths} are stretched to {side}x{side} pixels (option size)."
        )
        return side, side


class ImageFileSplit:
    """Files that are read when asked for; a raw is a file's bytes."""

    def __init__(self, folder: Path, pictures: Sequence[LabeledImage], target: Target) -> None:
        self.folder = folder
        self.pictures = pictures
        self.targets = targets_of(pictures, target)

    def __len__(self) -> int:
        return len(self.pictures)

    def id(self, i: int) -> str:
        """Return the id of a sample, without reading its file."""
        return self.pictures[i].path

    def raw(self, i: int) -> Raw:
        """Read one file."""
        name = self.pictures[i].path
        try:
            data = (self.folder / name).read_bytes()
        except OSError as error:
            raise BadData(f"{self.folder / name} can't be read: {error.strerror or error}.") from None
        return Raw(id=name, fields={"input": data}, target=self.targets[i], weight=self.pictures[i].weight)


def _span(values: Sequence[int]) -> str:
    low, high = min(values), max(values)
    return f"{low}-{high}" if low < high else f"{low}"


def _check_utf8(names: Iterable[str], folder: Path) -> None:
    """Refuse names that can't be written down: classes and ids go into files of text."""
    odd = [shown for name in names if (shown := name.encode(errors="backslashreplace").decode()) != name]
    if odd:
        raise BadData(f"{len(odd)} names in {folder} are not UTF-8: {shortened(odd, len(odd))}.", "Rename them.")


def _folders(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith((".", "__MACOSX")))


def _direct_files(folder: Path) -> list[Path]:
    """List the files that lie in a folder itself, hidden ones aside."""
    return sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith("."))


def _files(folder: Path) -> Iterable[Path]:
    """Give the files below a folder in order, hidden ones aside."""
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(root) / name for name in sorted(names) if not name.startswith("."))


def _overlap(parts: dict[str, list[LabeledImage]], findings: dict[str, ImageInfo]) -> dict[str, int]:
    """Count, by split, the files that are copies of training files."""
    files = [picture.path for pictures in parts.values() for picture in pictures]
    contents = {path: findings[path].sha256 for path in files}
    return count_overlap(contents, {split: [p.path for p in pictures] for split, pictures in parts.items()})


def _group(picture: LabeledImage) -> bytes:
    """Give the name up to the last _ or -, with its folder: frames of one film belong together."""
    path = PurePosixPath(picture.path)
    stem = re.sub(r"[_-][^_-]*$", "", path.stem)
    return f"{path.parent}/{stem}".encode()
