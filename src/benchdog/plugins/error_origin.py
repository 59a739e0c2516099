"""Whose fault an error is that nobody foresaw: the machine's, a plugin's, a local file's, or Benchdog's own."""

from __future__ import annotations

import errno
import os
import sysconfig
import traceback
from functools import cache
from importlib.metadata import distributions
from pathlib import Path

OWN = Path(__file__).resolve().parents[1]
HINTS = {
    errno.ENAMETOOLONG: "Type a shorter name.",
    errno.ELOOP: "A link leads back to itself: name the file that is meant.",
    errno.EACCES: "Ask for the rights to it, or choose another place.",
    errno.EPERM: "Ask for the rights to it, or choose another place.",
    errno.EROFS: "Choose a place that can be written.",
    errno.ENOSPC: "Make room on that disk.",
    errno.EDQUOT: "Make room: your quota there is used up.",
    errno.EMFILE: "Let this process open more files: ulimit -n.",
}
"""What to do about the errors that are the machine's or the path's, whatever code meets them."""


def machine_fault(error: BaseException) -> tuple[str, str, int] | None:
    """Give message, hint and exit code for an error that isn't any code's fault; None for others."""
    if not isinstance(error, OSError) or error.errno not in HINTS:
        return None
    file, said = str(error.filename or ""), os.strerror(error.errno)
    name = f"{file[:60]}...: " if len(file) > 255 else f"{file}: " if file else ""
    code = 2 if error.errno == errno.ENAMETOOLONG else 1
    return f"{name}{said}.", HINTS[error.errno], code


def third_party_origin(error: BaseException) -> str:
    """Give the innermost place in a stranger's code ("net.py, line 12, in forward"), "" when there is none."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        file = Path(frame.filename).resolve()
        if file.is_file() and _strange(file):
            return f"{file}, line {frame.lineno}, in {frame.name}"
    return ""


def _strange(file: Path) -> bool:
    """Say whether a file is a plugin's, or lies outside Benchdog, the libraries and Python itself."""
    if file.is_relative_to(OWN):
        return False
    libraries = {Path(sysconfig.get_path(name)).resolve() for name in ("purelib", "platlib")}
    for place in libraries:
        if file.is_relative_to(place):
            return file.relative_to(place).parts[0].removesuffix(".py") in plugin_packages()
    return not file.is_relative_to(Path(sysconfig.get_path("stdlib")).resolve())


@cache
def plugin_packages() -> frozenset[str]:
    """Name the import packages of installed plugins."""
    entries = (entry for dist in distributions() for entry in dist.entry_points)
    return frozenset(
        entry.value.split(".")[0].split(":")[0] for entry in entries if entry.group.startswith("benchdog")
    )
