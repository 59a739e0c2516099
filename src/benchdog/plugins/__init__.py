"""Plugin system: discovery, lookup, options, events, disabled plugins.

`Plugins` is imported when it is first used: commands that only read entry points don't need pluggy.
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
