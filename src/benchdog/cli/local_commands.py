"""Commands of single files: `benchdog --plugin tensors.py tensors last` runs the function `command` of that file."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any


def module(ctx: Any, name: str) -> ModuleType | None:
    """Load the file given with --plugin that is named like the command, if it holds `command` or `app`.

    Raises:
        BadUsage: the file raises at import.
    """
    if getattr(ctx, "resilient_parsing", False):  # somebody is typing: nothing of a local file is run yet
        return None
    for file in map(Path, getattr(ctx, "params", {}).get("plugin") or ()):
        if file.stem.replace("_", "-") == name and file.is_file():
            from benchdog.plugins.loading import load_file

            loaded = load_file(file)
            if hasattr(loaded, "command") or hasattr(loaded, "app"):
                return loaded
    return None
