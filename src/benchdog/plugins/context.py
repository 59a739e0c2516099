"""What a process knows of its plugins: the local files it was given, and the host once it was needed."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchdog.plugins import Plugins
    from benchdog.system.json_output import Lines


@dataclass(slots=True)
class PluginContext:
    """Discovers the plugins once, when they are first needed; every command and the Python API get one."""

    local: list[Path] = field(default_factory=list)
    lines: Lines | None = None
    """Where the events of a run are written for a program."""
    _plugins: Plugins | None = None

    def plugins(self, more: tuple[str, ...] = (), *, listing: bool = False) -> Plugins:
        """Discover the plugins once.

        `more` are the files that a recipe names; a command that is only `listing` waits less for a slow plugin.
        """
        if self._plugins is None:
            from benchdog.plugins import Plugins, import_timeout

            seconds = import_timeout.patience(import_timeout.LISTING if listing else import_timeout.WORKING)
            self._plugins = Plugins.discover([*more, *self.local], seconds)
            self._plugins.lines = self.lines
        return self._plugins
