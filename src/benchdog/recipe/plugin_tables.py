"""Recipe tables that belong to a plugin's command, which reads them; all other commands ignore them.

An entry point in the group `benchdog.tables` is named after the table; its value is the dataclass of its keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

GROUP = "benchdog.tables"
FIRST_PARTY = {"tune": "benchdog-optuna"}
"""Tables of first-party packages: known where the package isn't installed, so that the recipe trains there too."""


def _entries() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}


def is_plugin_table(table: str) -> bool:
    """Whether a table belongs to a plugin's command."""
    return table in FIRST_PARTY or table in _entries()


def schemas() -> dict[str, dict[str, Any]]:
    """Return the JSON Schemas of these tables by name; one whose package isn't installed may hold anything."""
    from benchdog.plugins.options import json_schema

    found: dict[str, dict[str, Any]] = {
        name: {"type": "object", "description": f"Read by the command of {package}."}
        for name, package in FIRST_PARTY.items()
    }
    for name, entry in _entries().items():
        description = f"Read by the command `{name}`; others ignore it."
        try:
            found[name] = {"description": description, **json_schema(entry.load())}
        except Exception as error:  # a third party's module may raise anything
            found[name] = {"type": "object", "description": f"{description} Its keys can't be read: {error}"}
    return found


def table_of(recipe: Mapping[str, Any], table: str, by: str) -> Mapping[str, Any]:
    """Return a command's own table of a parsed recipe; empty when there is none.

    Args:
        recipe: the parsed TOML.
        table: the table's name.
        by: the recipe's file, for messages.

    Raises:
        BadUsage: it isn't a table.
    """
    from benchdog.errors import BadUsage

    value = recipe.get(table, {})
    if not isinstance(value, Mapping):
        raise BadUsage(f"{by}: {table} is {value!r}, not a table.", f"Write [{table}], and its keys under it.")
    return value
