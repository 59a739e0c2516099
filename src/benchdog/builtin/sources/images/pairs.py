"""The source `image-pairs`: images with an image each as their target, or with themselves."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from benchdog.api import (
    IMAGE_SUFFIXES,
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
    find_files,
    read_regular,
    shortlist,
)
from benchdog.builtin.sources.images.finding import NOT_IMAGES
from benchdog.builtin.sources.images.inspection import ImageInfo, image_preprocess, inspect
from benchdog.builtin.sources.messages import existing_path, skipped_notes
from benchdog.builtin.sources.options import ImagePairsOptions
from benchdog.builtin.sources.splitting import SPLITS, split_by_content

Array = np.ndarray[Any, np.dtype[Any]]


class ImagePairs:
    """Two folders of images with the same names; a target's versions are all in one split."""

    def __init__(self, options: ImagePairsOptions) -> None:
        self.options = options
        self.folder = existing_path(options.path, "image-pairs", "a folder of images")
        self.targets = options.targets or self.folder
        if options.targets:
            existing_path(options.targets, "image-pairs", "a folder of images")
            inner, outer = options.targets.resolve(), self.folder.resolve()
            if inner.is_relative_to(outer) or outer.is_relative_to(inner):
                raise BadUsage(
                    f"source.targets = {options.targets} and source.path = {options.path} lie in each other.",
                    "Put inputs and targets into two folders; without targets, each image is its own.",
                )
        self.notes: list[str] = []
        self.counts: SampleCounts | None = None
        self._cache: Path | None = None
        self._loaded: tuple[Spec, dict[str, list[tuple[str, str]]]] | None = None

    def fetch(self, cache: Cache) -> None:
        """Set the folder of the inspection cache; nothing is downloaded."""
        self._cache = cache.folder

    def spec(self) -> Spec:
        """Describe uint8 images of one size, and targets of one size."""
        return self._load()[0]

    def preprocess(self, spec: Spec) -> Preprocess:
        """Return the decode operation for that size and color mode, and standardization."""
        return image_preprocess(spec)

    def open(self) -> dict[str, PairSplit]:
        """Return the pairs of each split."""
        spec, parts = self._load()
        return {name: PairSplit(self.folder, self.targets, parts[name], spec) for name in SPLITS}

    def _load(self) -> tuple[Spec, dict[str, list[tuple[str, str]]]]:
        if self._loaded is None:
            self.notes.clear()
            pairs = self._pairs()
            inputs = self._inspected(self.folder, [name for name, _ in pairs])
            targets = inputs
            if self.options.targets:
                targets = self._inspected(self.targets, [name for _, name in pairs])
            field = Field(kind="image", shape=self._shape(inputs), dtype="uint8", range=(0, 255))
            target = Target(kind="image", name=self.targets.name, shape=self._shape(targets), dtype="uint8")
            keys = [targets[name].pixels.encode() for _, name in pairs]
            places = split_by_content(
                keys, [0] * len(keys),
                valid=self.options.valid, test=self.options.test, seed=self.options.split_seed,
            )  # fmt: skip
            parts = {split: [pairs[i] for i in at] for split, at in places.items()}
            if empty := [split for split in SPLITS if not parts[split]]:
                raise BadData(
                    f"{self.folder}: no image is left for {empty[0]}.", "Add images: 3 different ones at least."
                )
            self._loaded = Spec(fields=(field,), target=target), parts
        return self._loaded

    def _pairs(self) -> list[tuple[str, str]]:
        """Match inputs and targets by their names without suffixes."""
        found = find_files(self.folder, IMAGE_SUFFIXES, NOT_IMAGES)
        skipped = {reason: list(names) for reason, names in found.skipped.items()}
        names = sorted(found.files)
        if not names:
            raise BadData(f"{self.folder} has no images.", f"Files must end in {', '.join(IMAGE_SUFFIXES)}.")
        pairs = [(name, name) for name in names]
        if self.options.targets:
            others = _by_stem(find_files(self.targets, IMAGE_SUFFIXES, NOT_IMAGES).files, self.targets)
            own = _by_stem(names, self.folder)
            if lacking := sorted(own.keys() - others.keys()):
                raise BadData(
                    f"{len(lacking)} of {len(own)} images in {self.folder} have no target of their name in "
                    f"{self.targets}: {shortlist([own[stem] for stem in lacking])}.",
                    "Add the targets, or remove those images.",
                )
            pairs = [(own[stem], others[stem]) for stem in sorted(own)]
            if alone := sorted(others[stem] for stem in others.keys() - own.keys()):
                self.notes.append(f"Targets without an input: {len(alone):,} ({shortlist(alone)}).")
        self.notes += skipped_notes(skipped)
        counts = {reason: len(files) for reason, files in skipped.items()}
        total = len(pairs) + sum(counts.values())
        self.counts = SampleCounts(found=total, used=len(pairs), skipped=counts, unit="files")
        return pairs

    def _inspected(self, folder: Path, names: Sequence[str]) -> dict[str, ImageInfo]:
        infos, _ = inspect(folder, list(dict.fromkeys(names)), self._cache)
        if bad := [name for name in names if infos[name].fault]:
            lines = "\n".join(f"  {name}: {infos[name].fault}" for name in bad)
            raise BadData(f"{len(bad)} files in {folder} can't be used:\n{lines}", "Correct or remove them.")
        return infos

    def _shape(self, infos: dict[str, ImageInfo]) -> tuple[int, int, int]:
        grey = all(f.grey for f in infos.values()) if self.options.mode == "auto" else self.options.mode == "L"
        channels, size = 1 if grey else 3, self.options.size
        sizes = sorted({(f.height, f.width) for f in infos.values()})
        if not size and len(sizes) > 1:
            few = shortlist([f"{height} x {width}" for height, width in sizes])
            raise BadData(f"The images have several sizes: {few}.", "Resize all of them: --set source.size=128.")
        return (channels, size, size) if size else (channels, *sizes[0])


class PairSplit:
    """A split of pairs, read on access: the input's bytes, and the target's pixels."""

    def __init__(self, folder: Path, targets: Path, pairs: Sequence[tuple[str, str]], spec: Spec) -> None:
        self.folder, self.targets_folder, self.pairs = folder, targets, pairs
        self.shape = tuple(axis or 0 for axis in spec.target.shape)

    def __len__(self) -> int:
        return len(self.pairs)

    def id(self, i: int) -> str:
        """Return the id of a sample, without reading its files."""
        return self.pairs[i][0]

    def raw(self, i: int) -> Raw:
        """Read one pair of files."""
        name, target = self.pairs[i]
        data = _read(self.folder / name)
        same = self.folder == self.targets_folder
        pixels = _pixels(data if same else _read(self.targets_folder / target), self.shape, target)
        return Raw(id=name, fields={"input": data}, target=pixels)


def _by_stem(names: Sequence[str], folder: Path) -> dict[str, str]:
    """Return names by their paths without suffix; BadData for two of one name."""
    found: dict[str, str] = {}
    for name in sorted(names):
        stem = str(PurePosixPath(name).with_suffix(""))
        if stem in found:
            raise BadData(f"{folder} has two images of one name: {found[stem]} and {name}.", "Remove one of them.")
        found[stem] = name
    return found


def _read(path: Path) -> bytes:
    try:
        return read_regular(path, MAX_IMAGE_BYTES)
    except OSError as error:
        raise BadData(f"{path} can't be read: {error.strerror or error}.") from None


def _pixels(data: bytes, shape: tuple[int, ...], name: str) -> Array:
    """Decode a target to uint8 (C, H, W), as inputs are decoded."""
    channels, height, width = shape
    mode = "L" if channels == 1 else "RGB"
    with Image.open(io.BytesIO(data)) as opened:
        image = ImageOps.exif_transpose(opened)
        if image.mode[:1] in "IF" or image.has_transparency_data:
            what = "opacity" if image.has_transparency_data else "more than 8 bits"
            raise BadData(
                f"The target {name} has {what}, which isn't predicted.",
                "Save it as gray or RGB with 8 bits a channel.",
            )
        image = image if image.mode == mode else image.convert("RGB").convert(mode)
        if image.size != (width, height):
            image = image.resize((width, height), Image.Resampling.BILINEAR)
        pixels = np.asarray(image)
    return np.ascontiguousarray(pixels[None] if channels == 1 else pixels.transpose(2, 0, 1))
