"""Entry points of installed packages, read from their metadata files.

importlib.metadata would do it, but costs a third of the start-up: it imports email and zipfile, and parses headers.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EntryPoint:
    """An entry point, and the distribution that declares it: its name in lower case, version, and summary."""

    name: str
    target: str
    dist: str
    version: str
    summary: str


def entry_points(group: str) -> Iterator[EntryPoint]:
    """Yield the entry points of a group, in the order of sys.path; metadata that can't be read is left out."""
    for folder in _metadata_folders():
        text = _read(os.path.join(folder, "entry_points.txt"))  # noqa: PTH118 -- pathlib would cost its import
        if f"[{group}]" not in text:
            continue
        facts = _facts(folder)
        for name, target in _section(text, group):
            yield EntryPoint(name, target, facts["Name"].lower(), facts["Version"], facts["Summary"])


def _metadata_folders() -> Iterator[str]:
    for place in sys.path:
        try:
            with os.scandir(place or ".") as entries:
                yield from (e.path for e in entries if e.name.endswith((".dist-info", ".egg-info")))
        except OSError:
            continue


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123
            return file.read()
    except (OSError, UnicodeDecodeError):
        return ""


def _section(text: str, group: str) -> Iterator[tuple[str, str]]:
    """Yield the entries of a group's section: lines "name = package.module:attribute"."""
    inside = False
    for line in text.splitlines():
        line = line.strip()
        if line.startswith("["):
            inside = line == f"[{group}]"
        elif inside and "=" in line and not line.startswith("#"):
            name, _, target = line.partition("=")
            yield name.strip(), target.strip()


def _facts(folder: str) -> dict[str, str]:
    """Return a distribution's name, version and summary from the header of its metadata."""
    facts = {"Name": "", "Version": "", "Summary": ""}
    for file in ("METADATA", "PKG-INFO"):
        for line in _head(os.path.join(folder, file)):  # noqa: PTH118
            key, _, value = line.partition(": ")
            if key in facts:
                facts[key] = value.rstrip()
        if facts["Name"]:
            break
    return facts


def _head(path: str) -> Iterator[str]:
    """Yield the lines of the header; the text below it can be a whole README."""
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123
            for line in file:
                if line == "\n":
                    return
                yield line
    except (OSError, UnicodeDecodeError):
        return
