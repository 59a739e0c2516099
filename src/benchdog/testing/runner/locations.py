"""Where in third-party code something happened or stands, for a fault's second line."""

from __future__ import annotations

import inspect
import re
import sysconfig
import traceback
from pathlib import Path
from typing import Any

from benchdog.errors import BenchdogError
from benchdog.plugins.error_origin import plugin_packages

KIT = Path(__file__).resolve().parents[1]
OWN = KIT.parent


def raised(error: BaseException) -> str:
    """Return the innermost line that is a component's: "net.py, line 12, in forward"; "" when there is none."""
    frames = traceback.extract_tb(error.__traceback__)
    own = ""
    for frame in reversed(frames):
        file = Path(frame.filename)
        if not file.is_file() or _library(file.resolve()):
            continue
        text = f"{file}, line {frame.lineno}, in {frame.name}"
        if not file.resolve().is_relative_to(OWN):
            return text
        if not own and file.resolve().is_relative_to(OWN / "builtin"):
            own = text
    return own


def _library(file: Path) -> bool:
    """Return whether a file is Python's own or a library's: what the component called, not what it is."""
    parts = file.parts
    if "site-packages" in parts:
        return parts[parts.index("site-packages") + 1].removesuffix(".py") not in plugin_packages()
    return file.is_relative_to(Path(sysconfig.get_path("stdlib")).resolve())


def shown(target: str) -> str:
    """Return a target for people: of a local file's only what stands after the colon."""
    return f":{target.rpartition(':')[2]}" if target.startswith("benchdog_local_") else target


def stands(value: Any) -> str:
    """Return where a class or function stands: "net.py, line 12"; "" when it isn't written in Python."""
    try:
        value = inspect.unwrap(value) if callable(value) else type(value)
        file, (_, line) = inspect.getsourcefile(value), inspect.getsourcelines(value)
    except (TypeError, OSError):
        return ""
    return f"{file}, line {line}" if file else ""


def said(error: BaseException) -> str:
    """Return an error's type and text in one line."""
    text = error.message if isinstance(error, BenchdogError) else str(error)
    text = re.sub(r"benchdog_local_(\w+)_[0-9a-f]{12}", r"\1.py", " ".join(text.split()))[:300].rstrip(".")
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
