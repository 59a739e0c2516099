"""Finding the files of a folder: one way for training and prediction, and what it leaves out is named."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchdog.errors import BadData

HIDDEN: Final = "hidden"
BROKEN: Final = "broken links"
IRREGULAR: Final = "not regular files"
LOOP: Final = "links to a folder that contains them"
REPEATED: Final = "links to a folder read too often"
SYSTEM_FOLDERS: Final = ("__MACOSX", "@eaDir")
"""Folders that archives and network drives add, with files that look like data; hidden, as names with a dot are."""
MOST_VISITS: Final = 100
"""How often one folder is read through links: links to folders of links could multiply without end."""

Key = tuple[int, int]


@dataclass(slots=True)
class FolderFiles:
    """The files of a folder and of those below it, as paths relative to it with forward slashes.

    Attributes:
        files: with one of the suffixes, by folder, those of a folder before those of the folders in it.
        folders: all folders that were read.
        skipped: what was left out, by reason. A folder that isn't read is one entry.
    """

    files: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    skipped: dict[str, list[str]] = field(default_factory=dict)

    def skip(self, name: str, reason: str) -> None:
        """Leave a file or folder out."""
        self.skipped.setdefault(reason, []).append(name)


def find_files(folder: Path, suffixes: Sequence[str], other: str) -> FolderFiles:
    """Find the files below a folder; links to folders are followed, hidden files and folders are skipped.

    Args:
        folder: where to look.
        suffixes: of the files, in lower case with the dot; upper case is found too. "" finds names without a dot.
        other: the reason why files of other suffixes are skipped: "not images".

    Raises:
        BadData: a folder can't be read.
    """
    found, visits = FolderFiles(), Counter[Key]()
    waiting = [(folder, "", frozenset(map(_key, folder.resolve().parents)))]
    while waiting:  # a stack of our own: folders can be nested deeper than Python's calls
        place, prefix, above = waiting.pop()
        above |= {_key(place)}
        inner = []
        for entry in _entries(place):
            name, reason = prefix + entry.name, _reason(entry, suffixes, other)
            if _holds(entry.is_dir) and reason != HIDDEN:
                key = _key(entry.path)
                visits[key] += 1
                if key in above:
                    found.skip(name, LOOP)
                elif visits[key] > MOST_VISITS:
                    found.skip(name, REPEATED)
                else:
                    found.folders.append(name)
                    inner.append((Path(entry.path), f"{name}/", above))
            elif reason:
                found.skip(name, reason)
            else:
                found.files.append(name)
        waiting += reversed(inner)
    return found


def _reason(entry: os.DirEntry[str], suffixes: Sequence[str], other: str) -> str:
    """Return why an entry that isn't a folder is left out, "" if it isn't."""
    if entry.name.startswith(".") or entry.name in SYSTEM_FOLDERS:
        return HIDDEN
    if not _holds(entry.is_file):
        return BROKEN if entry.is_symlink() and not os.path.exists(entry.path) else IRREGULAR  # noqa: PTH110
    name = entry.name.lower()
    return "" if name.endswith(tuple(filter(None, suffixes))) or ("" in suffixes and "." not in name) else other


def _holds(question: Callable[[], bool]) -> bool:
    try:
        return question()
    except OSError:  # a link to itself
        return False


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise _unreadable(folder, error) from None


def _key(folder: str | Path) -> Key:
    """Return what identifies a folder under all its names."""
    try:
        found = Path(folder).stat()
    except OSError as error:
        raise _unreadable(folder, error) from None
    return found.st_dev, found.st_ino


def _unreadable(folder: str | Path, error: OSError) -> BadData:
    return BadData(f"The folder {folder} can't be read: {error.strerror or error}.")
