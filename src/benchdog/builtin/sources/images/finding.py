"""Finding labeled images: in class folders, with splits on top or without, or listed in a CSV file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from benchdog.api import IMAGE_SUFFIXES, BadData, FolderFiles, find_files, shortlist
from benchdog.builtin.sources.images.listing import LabeledImage, read_labels_file
from benchdog.builtin.sources.layout import Layout, children, read_layout, refuse_loose
from benchdog.builtin.sources.messages import skipped_notes
from benchdog.builtin.sources.options import ImageFolderOptions

NOT_IMAGES = "not images"
WHOLE = "."
"""The option `unlabeled` where no image has a class."""


@dataclass(frozen=True, slots=True)
class FoundImages:
    """Images, the paths of what else was there, by the reason why it is skipped, and images without a class."""

    images: list[LabeledImage]
    skipped: dict[str, list[str]]
    bare: list[LabeledImage] = field(default_factory=list)


def find_images(folder: Path, options: ImageFolderOptions, notes: list[str]) -> FoundImages:
    """Find the images that the options name; add notes for the user.

    Raises:
        BadData: there is none, or it isn't certain which class or split they belong to.
    """
    if options.labels:
        found = _listed(options.labels, folder, options, notes)
        bare = _bare(folder, options.unlabeled) if options.unlabeled else FoundImages([], {})
        found = replace(found, bare=bare.images, skipped={**bare.skipped, **found.skipped})
    elif options.unlabeled == WHOLE:
        found = _bare(folder, WHOLE)
    else:
        found = _in_folders(folder, options, notes)
    notes += skipped_notes(found.skipped)
    return found


def _bare(folder: Path, name: str) -> FoundImages:
    """Find the images of a folder, in any folders of it, that have no class."""
    place = folder / name
    if not place.is_dir():
        raise BadData(f"{place} is not a folder.", "Set source.unlabeled to the folder of images without a class.")
    found = find_files(place, IMAGE_SUFFIXES, NOT_IMAGES)
    prefix = "" if name == WHOLE else f"{name.strip('/')}/"
    _check_utf8([*found.files, *(path for paths in found.skipped.values() for path in paths)], place)
    if not found.files:
        raise BadData(f"{place} has no images.", f"Files must end in {', '.join(IMAGE_SUFFIXES)}.")
    skipped = {reason: [prefix + path for path in paths] for reason, paths in found.skipped.items()}
    return FoundImages([LabeledImage(path=prefix + path, labels=()) for path in found.files], skipped)


def _in_folders(folder: Path, options: ImageFolderOptions, notes: list[str]) -> FoundImages:
    if not folder.is_dir():
        raise BadData(f"{folder} is not a folder.", "Set source.path to the folder that holds a folder per class.")
    found = find_files(folder, IMAGE_SUFFIXES, NOT_IMAGES)
    _check_utf8([*found.files, *(name for names in found.skipped.values() for name in names)], folder)
    bare: list[LabeledImage] = []
    if apart := options.unlabeled.strip("/"):
        bare = _bare(folder, apart).images
        inside = {image.path for image in bare}
        folders = [name for name in found.folders if name != apart and not name.startswith(f"{apart}/")]
        found = replace(found, files=[name for name in found.files if name not in inside], folders=folders)
    layout = read_layout(found, folder, options.folders)
    images, outside = [], []
    for name in found.files:
        if place := layout.split_and_class(name):
            images.append(LabeledImage(path=name, labels=(place[1],), split=place[0]))
        else:
            outside.append(name)
    refuse_loose(outside, layout, folder, "images")
    if not images:
        hint = f"Files must end in {', '.join(IMAGE_SUFFIXES)}."
        if any(name.lower().endswith(".txt") for name in found.skipped.get(NOT_IMAGES, ())):
            hint += f" For texts: benchdog train text --data {folder}"
        raise BadData(f"{folder} has no images in class folders.", hint)
    if layout.entered:
        notes.append(f"All images are in {folder / layout.entered}: the folders in it are used.")
    _note_folders(found, layout, notes)
    if outside:
        found.skipped["outside the splits"] = outside
    return FoundImages(images, found.skipped, bare)


def _note_folders(found: FolderFiles, layout: Layout, notes: list[str]) -> None:
    """Add notes on folders that were expected to hold a class, or a split, and don't."""
    held = {"/".join(parts[:end]) for parts in (n.split("/") for n in found.files) for end in range(1, len(parts))}
    classes = [top + name for top in layout.tops for name in children(found.folders, top)]
    for names, what in (
        ([name for name in classes if name not in held], "Class folders without an image"),
        (layout.unused, "Folders next to those of the splits, skipped"),
    ):
        if names:
            notes.append(f"{what}: {len(names):,} ({shortlist(names)}).")


def _listed(labels: Path, folder: Path, options: ImageFolderOptions, notes: list[str]) -> FoundImages:
    images, left_out = read_labels_file(folder, options, notes)
    listed = {image.path for image in images}.union(*left_out.values())
    places = {str(PurePosixPath(name).parent) for name in listed}
    there = [
        path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)
        for place in sorted(places)
        for path in sorted((folder / place).iterdir())
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")
    ]
    skipped = {
        **left_out,
        f"not listed in {labels.name}": [name for name in there if name not in listed],
    }
    return FoundImages(images, {reason: names for reason, names in skipped.items() if names})


def _check_utf8(names: Iterable[str], folder: Path) -> None:
    """Raise BadData for names that aren't UTF-8: classes and ids are written to text files."""
    invalid = [shown for name in names if (shown := name.encode(errors="backslashreplace").decode()) != name]
    if invalid:
        raise BadData(f"{len(invalid)} names in {folder} are not UTF-8: {shortlist(invalid)}.", "Rename them.")
