"""Tables of a recipe that belong to a command of a plugin: that command reads them, all others leave them alone.

An entry point in the group `benchdog.tables` is named as the table; its value is the dataclass of its keys.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

GROUP = "benchdog.tables"
OURS = {"tune": "benchdog-optuna"}
"""Tables of packages that come with Benchdog: known where they are absent, so that a recipe trains there too."""


def _entries() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}


def is_plugin_table(table: str) -> bool:
    """Say whether a table is some command's own."""
    return table in OURS or table in _entries()


def schemas() -> dict[str, dict[str, Any]]:
    """Describe the tables that may stand in a recipe, by name; one whose package is absent may hold anything."""
    from benchdog.plugins.options import json_schema

    found: dict[str, dict[str, Any]] = {
        name: {"type": "object", "description": f"Read by the command of {package}."}
        for name, package in OURS.items()
    }
    for name, entry in _entries().items():
        said = f"Read by the command `{name}`; others leave it alone."
        try:
            found[name] = {"description": said, **json_schema(entry.load())}
        except Exception as error:  # a stranger's module may raise anything
            found[name] = {"type": "object", "description": f"{said} Its keys can't be read: {error}"}
    return found


def table_of(recipe: Path, table: str) -> Mapping[str, Any]:
    """Give a command's own table of a recipe that was read already; empty when it has none."""
    from benchdog.errors import BadUsage
    from benchdog.recipe.layers import shipped

    value = tomllib.loads(shipped(recipe).read_text(encoding="utf-8")).get(table, {})
    if not isinstance(value, Mapping):
        raise BadUsage(f"{recipe}: {table} is {value!r}, not a table.", f"Write [{table}], and its keys under it.")
    return value
