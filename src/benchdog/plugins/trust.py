"""Code outside plugins: what names it, and who may make it run.

An artifact or run may name components of plugins, other code only if it is trusted; docs/security.md lists
every way to name code.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from benchdog.api import is_reference
from benchdog.errors import Refused

if TYPE_CHECKING:
    from benchdog.plugins import Plugins


def outside_plugins(kind: str, name: str, plugins: Plugins) -> bool:
    """Return whether a component's name leads to code that no plugin offers: "file.py:Class", "package.module:Class".

    A plugin's component has a colon where it is named with its owner: "benchdog-onnx:onnx".
    """
    return ":" in name and all(
        name not in (found.info.name, found.where, f"{found.plugin}:{found.info.name}")
        for found in plugins.all(kind).values()
    )


def references(options: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (key, value) of the options that name a class, in lists and tables too: ("criterion", "losses:Mine")."""
    for key, value in options.items():
        if isinstance(value, Mapping):
            yield from ((f"{key}.{inner}", text) for inner, text in references(value))
        for item in value if isinstance(value, list | tuple) else [value]:
            if is_reference(item):
                yield key, item


def check_reference(kind: str, name: str, plugins: Plugins, trusted: bool) -> None:
    """Check that a component named in a folder's JSON is a plugin's: "file.py:Class" there would run code.

    Raises:
        Refused: the name refers to code outside plugins, and the folder is not trusted.
    """
    if not trusted and outside_plugins(kind, name, plugins):
        raise Refused(
            f"The {kind} {name!r} is code outside any plugin, and the folder was not made on this machine.",
            "Add --trust if you trust its author.",
        )
