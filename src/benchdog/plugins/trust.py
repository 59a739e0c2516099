"""What a folder may name: components of plugins; other code only where the folder is trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchdog.errors import Refused

if TYPE_CHECKING:
    from benchdog.plugins import Plugins


def check_reference(kind: str, name: str, plugins: Plugins, trusted: bool) -> None:
    """Let a folder choose among plugins, and nothing else: "file.py:Class" in its JSON would be run.

    Raises:
        Refused: the name is no plugin's, but code, and the folder is not trusted.
    """
    known = {
        each
        for found in plugins.all(kind).values()
        for each in (found.info.name, found.where, f"{found.plugin}:{found.info.name}")
    }
    if ":" in name and name not in known and not trusted:
        raise Refused(
            f"The {kind} {name!r} is code that no plugin offers, and the folder wasn't made on this machine.",
            "Add --trust if you trust who made it.",
        )
