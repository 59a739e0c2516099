"""What is installed for Benchdog, read from metadata and source text: no plugin is imported."""

from __future__ import annotations

import ast
import re
from collections.abc import Container, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import distributions
from itertools import accumulate
from pathlib import Path

from benchdog.errors import Failed
from benchdog.plugins.allowed import allows

BUILTIN = "benchdog"
HEAVY = ("torch", "numpy", "requests", "rich", "pydantic")
"""Packages that a plugin's module must not import at its top: every command would wait for them."""
_NUMBER = re.compile(r"^CONTRACT\b[^=\n]*=[ \t]*(\d+)[ \t]*(?:#.*)?$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """An entry point: the plugin's name, its module, and the distribution that brings it."""

    name: str
    module: str
    dist: str
    version: str


def entries() -> list[Entry]:
    """Give the plugins that are installed and that BENCHDOG_PLUGINS allows, Benchdog's own first."""
    found: dict[tuple[str, str], Entry] = {}
    for dist in distributions():
        with suppress(Exception):  # metadata that can't be read is somebody else's fault, and not of this tool
            for point in dist.entry_points:
                if point.group == "benchdog":
                    owner = dist.name.lower()
                    entry = Entry(name=point.name, module=point.value, dist=owner, version=dist.version)
                    found.setdefault((owner, point.name), entry)
    if not any(dist == BUILTIN for dist, _ in found):
        raise Failed("benchdog is not installed properly: its own plugin is missing.", "Install it again.")
    chosen = [e for e in found.values() if e.dist == BUILTIN or allows(e.name, e.dist)]
    return sorted(chosen, key=lambda e: (e.dist != BUILTIN, e.dist, e.name))


def declared(module: str, usual: Container[int]) -> int | None:
    """Read the number that a module's text declares, CONTRACT = 1; None for a usual one, or when it can't be read."""
    spec: ModuleSpec | None = None
    place: Sequence[str] | None = None
    try:
        for name in accumulate(module.split("."), "{}.{}".format):
            spec = PathFinder.find_spec(name, place)
            place = (spec.submodule_search_locations if spec else None) or ()
        text = Path(spec.origin).read_text(encoding="utf-8") if spec and spec.origin else ""
        number = _NUMBER.search(text)
        return None if number is None or int(number[1]) in usual else _literal(text)
    except (OSError, ValueError, ImportError, SyntaxError):
        return None


def _literal(text: str) -> int | None:
    """Give the number by the text's syntax: a line of a docstring is none."""
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Constant):
            names = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(name, ast.Name) and name.id == "CONTRACT" for name in names):
                return node.value.value if type(node.value.value) is int else None
    return None
