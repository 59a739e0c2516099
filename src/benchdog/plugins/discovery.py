"""Discovery of installed plugins from package metadata and source text; imports no plugin."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Container, Sequence
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, PathFinder
from itertools import accumulate
from pathlib import Path

from benchdog.errors import Failed
from benchdog.plugins.installed import entry_points

BUILTIN = "benchdog"
HEAVY = ("torch", "numpy", "requests", "rich", "pydantic")
"""Packages that a plugin's module must not import at module level: every command would wait for them."""
_NUMBER = re.compile(r"^CONTRACT\b[^=\n]*=[ \t]*(\d+)[ \t]*(?:#.*)?$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """An entry point: the plugin's name, its module, and the distribution that contains it."""

    name: str
    module: str
    dist: str
    version: str


def allows(*names: str) -> bool:
    """Whether BENCHDOG_PLUGINS allows a plugin with any of these names: its own and its distribution's.

    "onnx,serve" allows these two, "-tensorboard" all but this one, "" none.
    """
    setting = os.environ.get("BENCHDOG_PLUGINS")
    if setting is None:
        return True
    listed = {name.strip() for name in setting.split(",")}
    if any(f"-{name}" in listed for name in names):
        return False
    return all(name.startswith("-") for name in listed) or any(name in listed for name in names)


def entries() -> list[Entry]:
    """Return the installed plugins that BENCHDOG_PLUGINS allows, Benchdog's own first.

    Raises:
        Failed: Benchdog's own plugin is missing.
    """
    registered: dict[tuple[str, str], Entry] = {}
    for point in entry_points("benchdog"):
        entry = Entry(name=point.name, module=point.target, dist=point.dist, version=point.version)
        registered.setdefault((point.dist, point.name), entry)
    if not any(dist == BUILTIN for dist, _ in registered):
        raise Failed("benchdog is not installed properly: its own plugin is missing.", "Install it again.")
    chosen = [e for e in registered.values() if e.dist == BUILTIN or allows(e.name, e.dist)]
    return sorted(chosen, key=lambda e: (e.dist != BUILTIN, e.dist, e.name))


def located(module: str) -> str:
    """Return the path of a module's file without importing it; "" if there is none."""
    spec: ModuleSpec | None = None
    place: Sequence[str] | None = None
    try:
        for name in accumulate(module.split("."), "{}.{}".format):
            spec = PathFinder.find_spec(name, place)
            place = (spec.submodule_search_locations if spec else None) or ()
    except (OSError, ValueError, ImportError):
        return ""
    return (spec.origin if spec else None) or ""


def declared(file: str, usual: Container[int]) -> int | None:
    """Return the number in a module's text, CONTRACT = 1; None if it is `usual` or can't be read."""
    try:
        text = Path(file).read_text(encoding="utf-8") if file else ""
        number = _NUMBER.search(text)
        return None if number is None or int(number[1]) in usual else _literal(text)
    except (OSError, ValueError, SyntaxError):
        return None


def _literal(text: str) -> int | None:
    """Return the number by parsing the text: a line of a docstring doesn't count."""
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Constant):
            names = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(name, ast.Name) and name.id == "CONTRACT" for name in names):
                return node.value.value if type(node.value.value) is int else None
    return None
