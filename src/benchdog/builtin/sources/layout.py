"""Layouts of folders with samples: a folder per class, or folders of splits that hold one per class."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

from benchdog.api import BadData, FolderFiles, natural_key, shortlist

SPLIT_WORDS = {
    "train": "train", "training": "train", "trn": "train",
    "valid": "valid", "validation": "valid", "val": "valid", "dev": "valid", "eval": "valid",
    "test": "test", "testing": "test", "tst": "test", "holdout": "test",
}  # fmt: skip
"""Words in a folder's name that mean a split."""
FILLERS = {
    "set", "sets", "data", "dataset", "images", "image", "imgs", "img", "pictures", "photos", "files", "folder",
    "split", "seg", "samples", "x",
}  # fmt: skip
"""Words that may stand next to them: "training_set", "train_images", "seg_train"."""
INPUTS = {"images", "image", "imgs", "img", "jpegimages", "imagestr", "inputs"}
TARGETS = {
    "labels", "label", "labelstr", "annotations", "annotation", "masks", "mask", "segmentations", "segmentationclass",
    "groundtruth", "gt",
}  # fmt: skip
"""Names of folders that hold what belongs to the images of a folder next to them, file by file."""
COMPARED = 50
"""Folders within a folder whose names are compared with those of its neighbors."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the class folders are.

    Attributes:
        tops: folders that hold a folder per class, as prefixes of paths ("", "seg_train/"), and their splits or "".
        unused: folders next to those of the splits.
        entered: the folder that holds all the others, if there is one.
    """

    tops: Mapping[str, str]
    unused: Sequence[str] = ()
    entered: str = ""

    def split_and_class(self, file: str) -> tuple[str, str] | None:
        """Return the split and the class of a file, by its path; None if it is in neither."""
        for top, split in self.tops.items():
            head, slash, _ = file.removeprefix(top).partition("/")
            if file.startswith(top) and slash:
                return split, head
        return None


@dataclass(slots=True)
class _Level:
    """The files in a folder itself, and those of each folder in it."""

    direct: list[str] = field(default_factory=list)
    inner: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, files: Iterable[str], prefix: str) -> _Level:
        level = cls()
        for file in files:
            head, slash, _ = file[len(prefix) :].partition("/")
            (level.inner.setdefault(head, []) if slash else level.direct).append(file)
        return level


def read_layout(found: FolderFiles, folder: Path, folders: str) -> Layout:
    """Find out what the folders of some files mean.

    Args:
        found: the files and the folders in `folder`.
        folder: where they are, for messages.
        folders: "auto", or what the top folders are: "classes" or "splits".

    Raises:
        BadData: the folders look like splits, but not for certain, or like pairs of inputs and targets.
    """
    guess = folders != "classes"
    prefix, level = _enter(found, folder, guess)
    named = split_names(level.inner) if guess else {}
    if folders == "auto":
        named = _certain(named, level, prefix, folder)
    if folders == "splits" and "train" not in named.values():
        raise BadData(
            f"{folder} has no folder that is named like the training split but {_listed(level.inner)}.",
            "Name it train.",
        )
    if not named:
        if guess:
            _refuse_same_folders(level.inner, prefix, folder)
        return Layout(tops={prefix: ""}, entered=prefix)
    for split in dict.fromkeys(named.values()):
        same = [name for name in named if named[name] == split]
        if len(same) > 1:
            raise BadData(
                f"{_listed(same)} in {folder / prefix} are named like the same split, {split}.",
                "Put their folders into one, or rename those that are none.",
            )
    tops = {}
    for name, split in sorted(named.items()):
        _refuse_pairs(found, f"{prefix}{name}/", folder)
        top = _innermost(f"{prefix}{name}/", level.inner[name])
        _refuse_same_folders(_Level.of(level.inner[name], top).inner, top, folder)
        tops[top] = split
    return Layout(tops=tops, unused=[name for name in level.inner if name not in named], entered=prefix)


def refuse_loose(outside: Sequence[str], layout: Layout, folder: Path, what: str) -> None:
    """Raise BadData for files in a folder that must hold a folder per class.

    Args:
        outside: files that are in no class folder.
        layout: where the class folders are.
        folder: where the files are.
        what: the files are: "images".
    """
    for top in layout.tops:
        loose = children(outside, top)
        if loose:
            loose.sort(key=natural_key)
            remedy = "" if top == layout.entered else f" {_classes_remedy('all are')}"
            raise BadData(
                f"{len(loose)} {what} are in {folder / top} itself: {shortlist(loose)}.",
                f"Move them into a folder per class; remove those without a class.{remedy}",
            )


def split_names(names: Iterable[str]) -> dict[str, str]:
    """Return those of the names of neighboring folders that mean a split: {"seg_train": "train"}.

    Words that are no fillers must be the same in two of them: "steam_train" is no split, "flowers_train" is one next
    to "flowers_test".
    """
    found = {}
    for name in names:
        words = [word.casefold() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_A-Za-z]+", name)]
        words = [stem if (stem := re.sub("(set|data|images)$", "", word)) in SPLIT_WORDS else word for word in words]
        words = ["holdout"] if words == ["hold", "out"] else words
        if words in (["images", "tr"], ["images", "ts"]):  # medical challenges
            words = ["train" if words[1] == "tr" else "test"]
        splits = [SPLIT_WORDS[word] for word in words if word in SPLIT_WORDS]
        if len(splits) == 1:
            found[name] = splits[0], tuple(word for word in words if word not in SPLIT_WORDS)
    rests = Counter(rest for _, rest in found.values())
    return {name: split for name, (split, rest) in found.items() if not set(rest) - FILLERS or rests[rest] > 1}


def _enter(found: FolderFiles, folder: Path, guess: bool) -> tuple[str, _Level]:
    """Go into folders that hold nothing but one folder of folders, and are not named after a split."""
    prefix, level = "", _Level.of(found.files, "")
    while True:
        if guess:
            _refuse_pairs(found, prefix, folder)
        name = next(iter(level.inner), "")
        inner = _Level.of(level.inner.get(name, ()), f"{prefix}{name}/")
        if level.direct or len(level.inner) != 1 or inner.direct or split_names([name]):
            return prefix, level
        prefix, level = f"{prefix}{name}/", inner


def _innermost(top: str, files: Sequence[str]) -> str:
    """Go from seg_train/ into seg_train/seg_train/, or train/images/: the folder that holds all class folders."""
    while True:
        level = _Level.of(files, top)
        name = next(iter(level.inner), "")
        certain = name == top.split("/")[-2] or name.casefold() in FILLERS
        if level.direct or len(level.inner) != 1 or not certain or _Level.of(files, f"{top}{name}/").direct:
            return top
        top = f"{top}{name}/"


def _certain(named: dict[str, str], level: _Level, prefix: str, folder: Path) -> dict[str, str]:
    """Return the folders that are splits for certain, {} if they are classes; a class of vehicles may be `train`."""
    splits = set(named.values())
    if "train" not in splits:
        if len(splits) > 1:
            raise BadData(
                f"{_listed(named)} in {folder / prefix} are named like splits, but there is no training split.",
                f"Name it train. {_classes_remedy('they are')}",
            )
        return {}
    if len(splits) > 1 or len(named) == len(level.inner):
        return named
    if any(_Level.of(level.inner[name], f"{prefix}{name}/").direct for name in named):
        return {}
    others = [name for name in level.inner if name not in named]
    raise BadData(
        f"{_listed(named)} in {folder / prefix} may be the training split, or a class like {_listed(others)}.",
        f'If it is the split: --set source.folders="splits". {_classes_remedy("all are")}',
    )


def _refuse_pairs(found: FolderFiles, prefix: str, folder: Path) -> None:
    """Raise BadData for a folder of images next to one of their masks, boxes or labels."""
    names = children(found.folders, prefix)
    inputs = [name for name in names if name.casefold() in INPUTS]
    targets = [name for name in names if name.casefold() in TARGETS]
    if inputs and targets:
        place = folder / prefix
        raise BadData(
            f"{_listed([*inputs, *targets])} in {place} are not classes but images and their targets.",
            f"If the folders in {inputs[0]} are classes: give {place / inputs[0]}. If a file lists the classes: "
            f"--set source.labels=FILE. {_classes_remedy('all are')} Segmentation and detection need a source of "
            "your own: benchdog plugins new source NAME",
        )


def _refuse_same_folders(inner: Mapping[str, Sequence[str]], prefix: str, folder: Path) -> None:
    """Raise BadData where two folders hold folders of the same two names: they are splits by another name."""
    first: dict[tuple[str, str], str] = {}
    for name, files in inner.items():
        names = sorted(_Level.of(files, f"{prefix}{name}/").inner, key=natural_key)
        copied = [each for each in names if each in inner and each != name]
        if len(copied) > 1:
            raise BadData(
                f"{name} in {folder / prefix} holds folders named like those next to it ({_listed(copied)}).",
                f"If it is a copy, move it away. {_classes_remedy('all are')}",
            )
        for pair in combinations(names[:COMPARED], 2):
            other = first.setdefault(pair, name)
            if other == name:
                continue
            both = [each for each in names if each in _Level.of(inner[other], f"{prefix}{other}/").inner]
            within = f"{other} and {name} in {folder / prefix} have the same folders within ({_listed(both)})"
            if len(split_names(both)) == len(both):
                raise BadData(f"{within}.", f"Put the splits on top: {both[0]}/{other}, {both[0]}/{name}, ...")
            raise BadData(
                f"{within}: they look like splits.",
                f"Name them train, valid and test. {_classes_remedy('they are')}",
            )


def children(paths: Iterable[str], prefix: str) -> list[str]:
    """Return the names of what lies directly in a folder, given its path with a slash at its end."""
    names = (path.removeprefix(prefix) for path in paths if path.startswith(prefix))
    return [name for name in names if "/" not in name]


def _classes_remedy(they: str) -> str:
    return f'If {they} classes: --set source.folders="classes".'


def _listed(names: Iterable[str]) -> str:
    listed = sorted(names, key=natural_key)
    return " and ".join(listed) if len(listed) == 2 else shortlist(listed)
