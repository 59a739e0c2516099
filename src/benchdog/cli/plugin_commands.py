"""Commands that other packages offer, read from their installed metadata.

importlib.metadata would do it, and costs a third of the whole start-up: it brings email and zipfile.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

from benchdog.plugins.allowed import allows

GROUP = "benchdog.commands"


def installed_commands() -> dict[str, tuple[str, str, str]]:
    """Find the commands of plugins: {name: (target, distribution, summary)}; none is imported."""
    found: dict[str, tuple[str, str, str]] = {}
    for folder in _metadata_folders():
        text = _read(os.path.join(folder, "entry_points.txt"))  # noqa: PTH118 -- pathlib would cost its import
        if f"[{GROUP}]" not in text:
            continue
        facts = _facts(folder)
        for name, target in _section(text):
            if allows(name, facts["Name"]):
                found.setdefault(name, (target, facts["Name"], facts["Summary"]))
    return found


def refuse(module: str, dist: str) -> None:
    """Refuse a command whose package is written for a contract that isn't taken; nothing of it is imported."""
    from benchdog.api import CONTRACT
    from benchdog.errors import NotAvailable
    from benchdog.plugins.compat import objection
    from benchdog.plugins.discovery import declared

    for place in dict.fromkeys((module.split(".")[0], module)):
        number = declared(place, (CONTRACT, CONTRACT - 1))
        if number is not None and (wrong := objection(number, CONTRACT, dist)):
            raise NotAvailable(f"The plugin {dist!r} {wrong[0]}.", wrong[1])


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


def _section(text: str) -> Iterator[tuple[str, str]]:
    """Yield the entries of the group's section: lines "name = package.module:attribute"."""
    inside = False
    for line in text.splitlines():
        line = line.strip()
        if line.startswith("["):
            inside = line == f"[{GROUP}]"
        elif inside and "=" in line and not line.startswith("#"):
            name, _, target = line.partition("=")
            yield name.strip(), target.strip()


def _facts(folder: str) -> dict[str, str]:
    """Read a distribution's name and summary from the head of its metadata."""
    facts = {"Name": "", "Summary": ""}
    for file in ("METADATA", "PKG-INFO"):
        for line in _head(os.path.join(folder, file)):  # noqa: PTH118
            key, _, value = line.partition(": ")
            if key in facts:
                facts[key] = value.rstrip()
        if facts["Name"]:
            break
    return facts


def _head(path: str) -> Iterator[str]:
    """Yield the lines up to an empty one; the text below can be a whole README."""
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123
            for line in file:
                if line == "\n":
                    return
                yield line
    except (OSError, UnicodeDecodeError):
        return
