"""Code that a recipe names outside installed plugins: refused by commands that only look at it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from benchdog.errors import BadUsage
from benchdog.plugins import Plugins
from benchdog.plugins.trust import outside_plugins, references
from benchdog.recipe.layers import Given, Layer
from benchdog.recipe.recipe import PARTS, WITH_CLASSES, absolute

TABLES = (*PARTS, "loader", "sources")
"""The tables that can name code."""


def refuse_files(files: Collection[str], asked: Collection[str]) -> None:
    """Refuse the plugin files of a recipe.

    Args:
        files: what it names.
        asked: the files of the command line.

    Raises:
        BadUsage: it names one that the command line doesn't.
    """
    if unasked := sorted(set(files) - set(asked)):
        raise BadUsage(
            f"The recipe runs code from {', '.join(unasked)}, which this command doesn't do unasked.",
            f"Look at it first, then add --run-code (or, before the command, --plugin {unasked[0]}).",
        )


def refuse_classes(merged: Layer, tables: Sequence[str], plugins: Plugins, asked: Collection[str]) -> None:
    """Refuse classes and functions outside plugins, before one is imported.

    Args:
        merged: what is asked for.
        tables: the tables that the command makes components of.
        plugins: their components may be named.
        asked: the files of the command line, which may be named too.

    Raises:
        BadUsage: the name of a component or an option leads to other code.
    """
    for key, kind, given, name in _named(merged, tables):
        place = name.rpartition(":")[0]
        if kind and not outside_plugins(kind, name, plugins):
            continue
        if place.endswith(".py") and absolute(place, given.base) in asked:
            continue
        by = given.by if given.by.endswith(".toml") else "The command line"
        raise BadUsage(
            f"{by} runs code, {name!r} ({key}), which this command doesn't do unasked.",
            "Look at it first, then add --run-code.",
        )


def _named(merged: Layer, tables: Sequence[str]) -> Iterator[tuple[str, str, Given, str]]:
    """Yield what may name code: (key, kind of component, who gave it, name); the kind of an option's class is ""."""
    for key, given in merged.items():
        table, _, option = key.partition(".")
        if table not in tables:
            continue
        if option == "name":
            yield key, table, given, str(given.value)
        elif table == "sources" and option.endswith(".name"):
            yield key, "source", given, str(given.value)
        elif key == "loader.augment" and isinstance(given.value, list):
            for item in given.value:
                name = item.get("name") if isinstance(item, dict) else item
                yield key, "augmentation", given, str(name)
        elif table in WITH_CLASSES:
            for inner, name in references({option: given.value}):
                yield f"{table}.{inner}", "", given, name
