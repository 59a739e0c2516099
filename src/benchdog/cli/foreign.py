"""Commands that other packages offer, read from their installed metadata.

importlib.metadata would do it, and costs a third of the whole start-up: it brings email and zipfile.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

GROUP = "benchdog.commands"


def commands() -> dict[str, tuple[str, str, str]]:
    """Find the commands of plugins: {name: (target, distribution, summary)}; none is imported."""
    allowed = os.environ.get("BENCHDOG_PLUGINS")
    names = None if allowed is None else {name.strip() for name in allowed.split(",")}
    found: dict[str, tuple[str, str, str]] = {}
    for folder in _metadata_folders():
        text = _read(os.path.join(folder, "entry_points.txt"))  # noqa: PTH118 -- pathlib would cost its import
        if f"[{GROUP}]" not in text:
            continue
        facts = _facts(folder)
        for name, target in _section(text):
            if names is None or facts["Name"] in names or name in names:
                found.setdefault(name, (target, facts["Name"], facts["Summary"]))
    return found


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
        for line in _read(os.path.join(folder, file)).splitlines():  # noqa: PTH118
            if not line:
                break
            key, _, value = line.partition(": ")
            if key in facts:
                facts[key] = value
        if facts["Name"]:
            break
    return facts
