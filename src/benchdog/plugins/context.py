"""The plugin context of a process: local plugin files, and the plugins once they are loaded."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchdog.plugins import Plugins
    from benchdog.system.json_output import Lines


@dataclass(slots=True)
class PluginContext:
    """Lazy access to the plugins; every command and the Python API have one."""

    local: list[Path] = field(default_factory=list)
    lines: Lines | None = None
    """Writer of a run's events as JSON lines (`train --json`)."""
    _plugins: Plugins | None = None

    def plugins(self, more: tuple[str, ...] = (), *, listing: bool = False) -> Plugins:
        """Return the plugins, loaded by the first call.

        Args:
            more: plugin files that a recipe names.
            listing: wait less for a slow plugin, in a command that only lists them.
        """
        if self._plugins is None:
            from benchdog.plugins import Plugins, import_timeout

            seconds = import_timeout.patience(import_timeout.LISTING if listing else import_timeout.WORKING)
            self._plugins = Plugins.discover([*more, *self.local], seconds, everything=listing)
            self._plugins.lines = self.lines
        return self._plugins
