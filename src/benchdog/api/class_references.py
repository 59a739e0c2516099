"""References to classes in a recipe: "package.module:Class" as the name of a component or the value of an option."""

from __future__ import annotations

import re
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

from benchdog.errors import BadUsage

REFERENCE = re.compile(r"[^\W\d][\w.]*:[^\W\d]\w*")


def is_reference(value: object) -> bool:
    """Return whether the value of an option names a class: "package.module:Class".

    Commands that run nothing, and runs from elsewhere, are checked by this rule. So a plugin imports for an option
    only what fits it.
    """
    return isinstance(value, str) and REFERENCE.fullmatch(value) is not None


def import_module_of(name: str, what: str) -> ModuleType:
    """Import the module of a reference; it may be in the working folder.

    Args:
        name: "package.module:Class".
        what: what the class is meant to be, for messages: "criterion".

    Raises:
        BadUsage: it can't be imported, or is a part of Python's standard library, where nothing to train with is but
            much that runs commands.
    """
    place = name.rpartition(":")[0]
    if place.partition(".")[0] in sys.stdlib_module_names:
        raise BadUsage(
            f"The {what} {name!r} can't be used: {place} is a part of Python's standard library.",
            "Write package.module:Class; a file of your own must not be named like a module of the standard library.",
        )
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))
    try:
        return import_module(place)
    except Exception as error:  # somebody's own module may raise anything
        text = " ".join(str(error).split()).rstrip(".")
        reason = f"{type(error).__name__}: {text}" if text else type(error).__name__
        hint = "Write package.module:Class, of an installed package or of this folder."
        raise BadUsage(f"The {what} {name!r} can't be imported: {reason}.", hint) from error
