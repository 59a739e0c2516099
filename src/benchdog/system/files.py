"""Files that are whole or absent: written aside, flushed, renamed."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from benchdog.errors import BadData, Failed


@contextmanager
def saving(path: Path) -> Iterator[None]:
    """Turn a failed write into one sentence that names the place and the cause."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise Failed(f"The disk is full: {path} was not written.", "Free some space and go on.") from error
        reason = error.strerror or str(error)
        raise Failed(f"{path} can't be written: {reason}.", "Choose a place that you may write to.") from error


def write_bytes(path: Path, data: bytes) -> None:
    """Replace a file by `data`: a reader sees the old content or the new, never a part."""
    replace(path, lambda aside: aside.write_bytes(data))


def replace(path: Path, write: Callable[[Path], object]) -> None:
    """Replace a file by what `write` puts into a file aside, once that is on the disk."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with saving(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            write(aside)
            with aside.open("r+b") as written:
                os.fsync(written.fileno())
            aside.replace(path)
        except BaseException:
            with suppress(OSError):
                aside.unlink(missing_ok=True)
            raise


def write_text(path: Path, text: str) -> None:
    """Replace a text file, UTF-8 with \\n line ends."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Replace a JSON file, indented for reading."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file; BadData when it is missing or not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadData(f"{path} is missing.", "The folder is incomplete: make it again.") from None
    except (OSError, ValueError, RecursionError) as error:
        raise BadData(f"{path} can't be read: {error}.", "The file is damaged: make it again.") from None


def sha256(path: Path) -> str:
    """Give the hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def fresh_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder that becomes `path` when all went well and vanishes otherwise.

    What stood at `path` is replaced only at the end.
    """
    with saving(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
        aside.chmod(path.parent.stat().st_mode & 0o777)  # mkdtemp's is for its maker alone
    try:
        yield aside
        with saving(path):
            old = path.with_name(f".{path.name}.old.{os.getpid()}")
            if path.exists():
                path.replace(old)
            aside.replace(path)
            shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
