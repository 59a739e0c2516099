"""Atomic file writes (temporary file, fsync, rename), hashes and sizes."""

from __future__ import annotations

import errno
import glob
import hashlib
import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from benchdog.errors import BadData, Failed
from benchdog.strict_json import json_text
from benchdog.system import parsing
from benchdog.system.escapes import encodable


@contextmanager
def saving(path: Path) -> Iterator[None]:
    """Turn an OSError of a write into `Failed`, which names the path and the cause."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise Failed(f"The disk is full: {path} was not written.", "Free some space, then try again.") from error
        reason = error.strerror or str(error)
        raise Failed(f"{path} can't be written: {reason}.", "Choose a location that you may write to.") from error


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file atomically: a reader sees the old content or the new, never a part."""
    replace(path, lambda temporary: temporary.write_bytes(data))


def replace(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file atomically: `write` fills a temporary file, which is renamed once it is on the disk."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with saving(path):
        check_guards(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            write(temporary)
            with temporary.open("r+b") as written:
                os.fsync(written.fileno())
            temporary.replace(path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically, UTF-8 with \\n line ends; lone surrogates are escaped: UTF-8 has none."""
    write_bytes(path, encodable(text).encode())


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file atomically, indented for reading; NaN and infinity become null."""
    write_text(path, json_text(value, indent=2) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        BadData: it is missing or not JSON.
    """
    try:
        return parsing.read_json(path)
    except FileNotFoundError:
        raise BadData(f"{path} is missing.", "The folder is incomplete: recreate it.") from None
    except OSError as error:
        raise BadData(f"{path} can't be read: {error.strerror}.", "Make it readable, or recreate it.") from None
    except ValueError as error:
        raise BadData(f"{path} can't be read: {error}.", "The file is damaged: recreate it.") from None


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON file that holds an object.

    Raises:
        BadData: it is missing, not JSON, or holds something else.
    """
    value = read_json(path)
    if not isinstance(value, dict):
        raise BadData(f"{path} holds no JSON object.", "The file is damaged: recreate it.")
    return value


def sha256(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def size_of(folder: Path) -> int:
    """Return the bytes of the files in a folder and below; 0 for a missing one, and for files that can't be read."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):  # another process may remove files meanwhile
                total += (Path(parent) / name).lstat().st_size
    return total


def readable(size: int | None) -> str:
    """Format a number of bytes: "512 MB", "12.3 GB"."""
    if size is None:
        return "unknown"
    for unit, step in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= step:
            return f"{size / step:.1f} {unit}" if size < 100 * step else f"{size / step:.0f} {unit}"
    return f"{size} bytes"


@contextmanager
def fresh_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder that becomes `path` on success and is deleted on failure.

    An existing `path` is replaced only at the end. What killed processes left of such folders is removed.
    """
    with saving(path):
        check_guards(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path)
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.{_owner()}.", dir=path.parent))
        temporary.chmod(path.parent.stat().st_mode & 0o777)  # mkdtemp's permissions are for its owner only
    try:
        yield temporary
        with saving(path):
            check_guards(path)
            old = path.with_name(f".{path.name}.{_owner()}.old")
            if path.exists():
                path.replace(old)
            temporary.replace(path)
            shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _owner() -> str:
    """Return an id of this process that is unique across machines sharing a disk: "5f3a09-4711"."""
    return f"{hashlib.sha256(platform.node().encode()).hexdigest()[:6]}-{os.getpid()}"


def _sweep(path: Path) -> None:
    """Remove temporary folders of `path` whose processes are gone; an old folder that was moved away comes back."""
    import psutil  # here: it would slow down the start of every command

    host, own = _owner().split("-")
    for left in path.parent.glob(f".{glob.escape(path.name)}.{host}-*.*"):
        process = left.name.removeprefix(f".{path.name}.{host}-").split(".")[0]
        if not process.isdigit() or process == own or psutil.pid_exists(int(process)):
            continue
        if left.suffix == ".old" and not path.exists():
            left.replace(path)
        else:
            shutil.rmtree(left, ignore_errors=True)


_guards: dict[Path, Callable[[], None]] = {}
"""By folder, a function that raises if the folder no longer exists."""


def guard(folder: Path, check: Callable[[], None]) -> None:
    """Call `check` before anything is written into a folder or below, until `unguard`."""
    _guards[folder.absolute()] = check


def unguard(folder: Path) -> None:
    """Write into a folder without a check again."""
    _guards.pop(folder.absolute(), None)


def check_guards(path: Path) -> None:
    """Raise if the folder of a file that is about to be written no longer exists."""
    for folder, check in list(_guards.items()):
        if path.absolute().is_relative_to(folder):
            check()
