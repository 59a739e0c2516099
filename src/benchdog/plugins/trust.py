"""Trust: an artifact or run may name components of plugins; other code only if it is trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchdog.errors import Refused

if TYPE_CHECKING:
    from benchdog.plugins import Plugins


def check_reference(kind: str, name: str, plugins: Plugins, trusted: bool) -> None:
    """Check that a component named in a folder's JSON is a plugin's: "file.py:Class" there would run code.

    Raises:
        Refused: the name refers to code outside plugins, and the folder is not trusted.
    """
    known = {
        each
        for found in plugins.all(kind).values()
        for each in (found.info.name, found.where, f"{found.plugin}:{found.info.name}")
    }
    if ":" in name and name not in known and not trusted:
        raise Refused(
            f"The {kind} {name!r} is code outside any plugin, and the folder was not made on this machine.",
            "Add --trust if you trust its author.",
        )
