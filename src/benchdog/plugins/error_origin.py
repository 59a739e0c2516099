"""Origin of unexpected exceptions: the machine, a plugin, a local file, or Benchdog itself."""

from __future__ import annotations

import errno
import os
import sysconfig
import traceback
from functools import cache
from importlib.metadata import distributions
from pathlib import Path

from benchdog.errors import BadUsage, BenchdogError, Failed
from benchdog.system import limits

OWN = Path(__file__).resolve().parents[1]
HINTS = {
    errno.ENAMETOOLONG: "Type a shorter name.",
    errno.ELOOP: "A link leads back to itself: name the file itself.",
    errno.EACCES: "Get permission for it, or choose another place.",
    errno.EPERM: "Get permission for it, or choose another place.",
    errno.EROFS: "Choose a writable place.",
    errno.ENOSPC: "Free space on that disk.",
    errno.EDQUOT: "Free space: your quota there is used up.",
    errno.EFBIG: "Files may not be larger here: see ulimit -f, and the limits of the file system.",
    errno.EIO: "Check the disk, or the connection to it.",
    errno.EMFILE: limits.MORE_FILES,
    errno.ENFILE: "The whole system has too many files open: end other programs.",
    errno.EAGAIN: limits.MORE_PROCESSES,
    errno.ENOMEM: limits.MORE_MEMORY,
}
"""What to do about errors of the machine or the path, whatever code raises them."""


def explained(error: BaseException) -> BenchdogError | None:
    """Return a sentence on an error of the machine or of third-party code; None for a bug of Benchdog's own.

    Under BENCHDOG_STRICT=1 only Benchdog's errors have one.
    """
    if isinstance(error, BenchdogError):
        return error
    if os.environ.get("BENCHDOG_STRICT") == "1":
        return None
    if fault := machine_fault(error):
        return fault
    origin = third_party_origin(error)
    if not origin:
        return None
    text = " ".join(str(error).split())[:500]
    hint = f"Raised in {origin}. Fix it, or report it to its author; BENCHDOG_STRICT=1 shows the full traceback."
    return Failed(f"{type(error).__name__}: {text}", hint)


def machine_fault(error: BaseException) -> BenchdogError | None:
    """Return a sentence on an error of the machine or the path, with the limit that was reached; None for others."""
    if fault := limits.exceeded(error):
        return fault
    if not isinstance(error, OSError) or error.errno not in HINTS:
        return None
    file, reason = str(error.filename or ""), os.strerror(error.errno)
    name = f"{file[:60]}...: " if len(file) > 255 else f"{file}: " if file else ""
    kind = BadUsage if error.errno == errno.ENAMETOOLONG else Failed
    return kind(f"{name}{reason}.", HINTS[error.errno])


def third_party_origin(error: BaseException) -> str:
    """Return the innermost place in third-party code ("net.py, line 12, in forward"); "" if there is none."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        file = Path(frame.filename).resolve()
        if file.is_file() and _is_third_party(file):
            return f"{file}, line {frame.lineno}, in {frame.name}"
    return ""


def _is_third_party(file: Path) -> bool:
    """Whether a file belongs to a plugin, or to none of Benchdog, installed libraries and Python itself."""
    if file.is_relative_to(OWN):
        return False
    libraries = {Path(sysconfig.get_path(name)).resolve() for name in ("purelib", "platlib")}
    for place in libraries:
        if file.is_relative_to(place):
            return file.relative_to(place).parts[0].removesuffix(".py") in plugin_packages()
    return not file.is_relative_to(Path(sysconfig.get_path("stdlib")).resolve())


@cache
def plugin_packages() -> frozenset[str]:
    """Return the import packages of installed plugins."""
    entries = (entry for dist in distributions() for entry in dist.entry_points)
    return frozenset(
        entry.value.split(".")[0].split(":")[0] for entry in entries if entry.group.startswith("benchdog")
    )
