"""The cache of downloads: each source has a folder, each file is fetched once and checked.

A finished download `data.gz` has `data.gz.sha256` beside it, in the form that `sha256sum -c` reads; an
unfinished one is `data.gz.<start of its hash>.part`, and the next attempt goes on where it ends.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from benchdog.errors import BadData, BadUsage, Failed, NotAvailable
from benchdog.system import files, terminal
from benchdog.system.paths import cache_dir

if TYPE_CHECKING:
    import requests

TIMEOUT = (10.0, 30.0)
"""Seconds to connect, and between two pieces of the body."""
ATTEMPTS = 4
"""How often a connection may break before a download gives up; what came is kept."""
PIECE = 1 << 16


class _InterruptedError(Exception):
    """The connection broke in the middle of the body."""


class SourceCache:
    """A source's own folder under the cache folder, made when it is first needed."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.folder = cache_dir() / folder_name(source)
        with _writable(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)

    def download(self, url: str, *, sha256: str, name: str = "") -> Path:
        """Fetch a file once and give its path: resumed, checked, locked, with a progress bar.

        Args:
            url: an http or https address.
            sha256: the hexadecimal hash that the file must have.
            name: the file's name in the cache; else the last part of the address.

        Raises:
            NotAvailable: the server can't be reached.
            Failed: the server refuses, the connection keeps breaking, the cache can't be written.
            BadData: what came is not what the hash says; it is removed.
        """
        from filelock import FileLock

        path = self.folder / _file_name(url, name)
        sha256 = sha256.lower()
        with _writable(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.folder / f".{path.name}.lock")
            lock.acquire()
        try:
            # The second of two processes arrives here when the first has finished.
            if not self._have(path, sha256):
                part = path.with_name(f"{path.name}.{sha256[:8]}.part")
                self._fetch(url, part, sha256)
                with files.saving(path):
                    part.replace(path)
                _record_hash(path, sha256)
        finally:
            lock.release()
        return path

    def _have(self, path: Path, sha256: str) -> bool:
        """Say whether the file is here; one that was put here by hand is checked and noted."""
        if not path.is_file():
            return False
        if recorded_hash(path) == sha256:
            return True
        if files.sha256(path) != sha256:
            return False
        _record_hash(path, sha256)
        return True

    def _fetch(self, url: str, part: Path, sha256: str) -> None:
        """Fill `part`, going on after breaks; a wrong sum of old and new pieces is fetched anew once."""
        resumed = part.exists()
        for attempt in range(ATTEMPTS):
            try:
                _get(url, part)
                break
            except _InterruptedError as error:
                if attempt == ATTEMPTS - 1:
                    raise Failed(
                        f"The download of {url} broke off {ATTEMPTS} times ({error}).",
                        "Try again later: it goes on where it stopped.",
                    ) from None
                resumed = True
        found = files.sha256(part)
        if found == sha256:
            return
        part.unlink()
        if resumed:
            self._fetch(url, part, sha256)
            return
        raise BadData(
            f"What came from {url} is not the expected file: its SHA-256 is {found}, not {sha256}.",
            "It was removed. Try again; if it stays so, a proxy changes it or the publisher replaced it.",
        )


def folder_name(source: str) -> str:
    """Give the folder of a source's name; what a file system may refuse is replaced and hashed."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "_", source).strip(".")
    if plain == source and plain:
        return source
    return f"{plain[:80] or 'source'}-{hashlib.sha256(source.encode()).hexdigest()[:8]}"


def cached_sizes() -> dict[str, int]:
    """Give the bytes that each folder of the cache holds."""
    try:
        folders = sorted(p for p in cache_dir().iterdir() if p.is_dir())
    except OSError:
        return {}
    return {folder.name: files.size_of(folder) for folder in folders}


def verify(folder: Path) -> dict[str, bool]:
    """Hash each download of a folder again: {name: is what it was}."""
    marks = sorted(folder.glob("*.sha256"))
    pairs = [(mark.with_suffix(""), recorded_hash(mark.with_suffix(""))) for mark in marks]
    return {path.name: path.is_file() and files.sha256(path) == noted for path, noted in pairs}


def remove(folder: Path) -> int:
    """Remove a folder of the cache and give the bytes that this freed."""
    if folder.parent != cache_dir():
        raise BadUsage(f"{folder} is no folder of the cache {cache_dir()}.")
    freed = files.size_of(folder)
    with files.saving(folder):
        if folder.exists():
            shutil.rmtree(folder)
    return freed


def recorded_hash(path: Path) -> str:
    """Give the hash that was checked when `path` was downloaded; "" when there is no note."""
    try:
        return path.with_name(f"{path.name}.sha256").read_text(encoding="utf-8").split()[0]
    except (OSError, IndexError, ValueError):
        return ""


def _record_hash(path: Path, sha256: str) -> None:
    files.write_text(path.with_name(f"{path.name}.sha256"), f"{sha256}  {path.name}\n")


def _file_name(url: str, name: str) -> str:
    name = name or unquote(urlsplit(url).path.rsplit("/", 1)[-1])
    if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._+-]*", name) or name.endswith((".part", ".sha256")):
        raise BadUsage(f"{name!r} can't be a file's name in the cache.", "Give download() a plain name=.")
    return name


@contextmanager
def _writable(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise Failed(
            f"The cache folder {folder} can't be written: {reason}.",
            "Set BENCHDOG_CACHE to a folder that you may write to.",
        ) from None


def _get(url: str, part: Path) -> None:
    """Append to `part` what is missing of the body at `url`."""
    import requests

    have = part.stat().st_size if part.exists() else 0
    # identity: a server that unpacks .gz on the way would change the hash
    headers = {"Accept-Encoding": "identity", "User-Agent": "benchdog"}
    if have:
        headers["Range"] = f"bytes={have}-"
    try:
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
            if response.status_code == 416:  # the range is empty: all is here, or too much
                if not have:
                    raise Failed(f"{url} can't be fetched: the server answered 416.")
                return
            _check_status(url, response)
            _receive(response, part, have)
    except (requests.ConnectionError, requests.Timeout) as error:
        raise NotAvailable(
            f"{urlsplit(url).netloc} can't be reached for {url}: {_cause(error)}.",
            f"Connect to a network, or put the file yourself at {_final(part)} (its hash is checked).",
        ) from None
    except requests.RequestException as error:
        raise Failed(f"{url} can't be fetched: {_cause(error)}.", "Check the address.") from None


def _check_status(url: str, response: requests.Response) -> None:
    if response.status_code not in (200, 206):
        raise Failed(
            f"{url} can't be fetched: the server answered {response.status_code} {response.reason}.",
            "Try again later, or look whether the data has moved.",
        )


def _receive(response: requests.Response, part: Path, have: int) -> None:
    from urllib3.exceptions import HTTPError

    resumes = response.status_code == 206 and _start(response) == have
    if not resumes:
        have = 0
    if response.status_code == 206 and not resumes:
        part.unlink(missing_ok=True)  # a server that sends another part than asked for: begin again
        raise _InterruptedError("the server sent another part than asked for")
    length = response.headers.get("Content-Length", "")
    total = have + int(length) if length.isdigit() else None
    with files.saving(part), part.open("ab" if resumes else "wb") as out, _bar(part, have, total) as bar:
        pieces = response.raw.stream(PIECE, decode_content=False)
        while True:
            try:
                piece = next(pieces, b"")
            except (HTTPError, OSError) as error:
                raise _InterruptedError(_cause(error)) from None
            if not piece:
                break
            out.write(piece)
            bar.update(len(piece))
        out.flush()
        os.fsync(out.fileno())


def _start(response: requests.Response) -> int:
    """Give the first byte's position in a 206 answer; -1 when it doesn't say."""
    found = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return int(found[1]) if found else -1


def _final(part: Path) -> Path:
    return part.with_name(part.name.rsplit(".", 2)[0])


def _cause(error: BaseException) -> str:
    """Give the innermost reason of a chain of wrapped network errors, in one line."""
    inner: Any = error
    while True:
        deeper = getattr(inner, "reason", None) or (inner.args[0] if inner.args else None)
        if not isinstance(deeper, BaseException):
            break
        inner = deeper
    text = str(inner).split(": ", 1)[-1] if "object at 0x" in str(inner) else str(inner)
    return text.strip().rstrip(".") or type(inner).__name__


def _bar(part: Path, have: int, total: int | None) -> Any:
    from tqdm import tqdm

    return tqdm(
        desc=_final(part).name, initial=have, total=total, unit="B", unit_scale=True, unit_divisor=1024,
        disable=not terminal.draws(), file=sys.stderr, leave=False,
    )  # fmt: skip
