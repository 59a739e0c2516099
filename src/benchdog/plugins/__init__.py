"""The plugin host: discovery, lookup, options, events, quarantine.

Its face is `Plugins`, imported when it is used: what only looks at entry points needs no pluggy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchdog.plugins.manager import KINDS, Plugins

__all__ = ["KINDS", "Plugins"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from benchdog.plugins import manager

        return getattr(manager, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
