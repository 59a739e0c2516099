"""Download cache: a folder per source; files are resumed, verified by SHA-256 and locked.

A complete `data.gz` has a `data.gz.sha256` next to it, which `sha256sum -c` reads; an incomplete one is
`data.gz.<first digits of its hash>.part`, which the next attempt resumes with a range request.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from benchdog.errors import BadData, BadUsage, Failed, NotAvailable
from benchdog.system import files, terminal
from benchdog.system.escapes import one_line
from benchdog.system.locks import locked
from benchdog.system.paths import cache_dir

if TYPE_CHECKING:
    import requests

TIMEOUT = (10.0, 30.0)
"""Seconds to connect, and between two chunks of the body."""
ATTEMPTS = 4
"""Connections per download before it fails; the part received is kept."""
CHUNK = 1 << 16
"""Bytes read at a time."""


class _InterruptedError(Exception):
    """The connection was lost within the body."""


class SourceCache:
    """A source's folder in the cache, created on first use."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.folder = cache_dir() / folder_name(source)
        with _writable(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)

    def download(self, url: str, *, sha256: str, name: str = "") -> Path:
        """Download a file once and return its path: resumed, verified, locked, with a progress bar.

        Args:
            url: http or https.
            sha256: the expected hash, hexadecimal.
            name: the file's name in the cache; default: the last part of the URL.

        Raises:
            NotAvailable: the server can't be reached.
            Failed: an HTTP error, repeated disconnects, or a cache that can't be written.
            BadData: the hash differs; the file is removed.
        """
        path = self.folder / _file_name(url, name)
        sha256 = sha256.lower()
        with ExitStack() as held:
            with _writable(self.folder):
                self.folder.mkdir(parents=True, exist_ok=True)
                held.enter_context(locked(self.folder / f".{path.name}.lock", f"downloads {path.name}"))
            # Of two processes the second gets the lock when the first has finished the download.
            if not self._is_cached(path, sha256):
                part = path.with_name(f"{path.name}.{sha256[:8]}.part")
                self._fetch(url, part, sha256)
                with files.saving(path):
                    part.replace(path)
                _record_hash(path, sha256)
        return path

    def _is_cached(self, path: Path, sha256: str) -> bool:
        """Whether the file is cached; one that was copied there by hand is verified and recorded."""
        if not path.is_file():
            return False
        if recorded_hash(path) == sha256:
            return True
        if files.sha256(path) != sha256:
            return False
        _record_hash(path, sha256)
        return True

    def _fetch(self, url: str, part: Path, sha256: str) -> None:
        """Download to `part`, resuming after disconnects; start over once if a resumed file has a wrong hash."""
        resumed = part.exists()
        for attempt in range(ATTEMPTS):
            try:
                _get(url, part)
                break
            except _InterruptedError as error:
                if attempt == ATTEMPTS - 1:
                    raise Failed(
                        f"The download of {url} was interrupted {ATTEMPTS} times ({error}).",
                        "Try again later: it resumes where it stopped.",
                    ) from None
                resumed = True
        actual = files.sha256(part)
        if actual == sha256:
            return
        part.unlink()
        if resumed:
            self._fetch(url, part, sha256)
            return
        raise BadData(
            f"The file from {url} is not the expected one: its SHA-256 is {actual}, not {sha256}.",
            "It was removed. Try again; if this persists, a proxy changes it or the publisher replaced it.",
        )


def folder_name(source: str) -> str:
    """Return the folder name of a source; names that a file system may refuse are replaced and hashed."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "_", source).strip(".")
    if plain == source and plain:
        return source
    return f"{plain[:80] or 'source'}-{hashlib.sha256(source.encode()).hexdigest()[:8]}"


def cached_sizes() -> dict[str, int]:
    """Return the size of each folder of the cache in bytes."""
    try:
        folders = sorted(p for p in cache_dir().iterdir() if p.is_dir())
    except OSError:
        return {}
    return {folder.name: files.size_of(folder) for folder in folders}


def verify(folder: Path) -> dict[str, bool]:
    """Hash each download of a folder again: {name: whether it is unchanged}."""
    paths = [record.with_suffix("") for record in sorted(folder.glob("*.sha256"))]
    return {path.name: path.is_file() and files.sha256(path) == recorded_hash(path) for path in paths}


def remove(folder: Path) -> int:
    """Delete a folder of the cache; return the freed bytes.

    Raises:
        BadUsage: the folder isn't in the cache.
    """
    if folder.parent != cache_dir():
        raise BadUsage(f"{folder} is not a folder of the cache {cache_dir()}.")
    freed = files.size_of(folder)
    with files.saving(folder):
        if folder.exists():
            shutil.rmtree(folder)
    return freed


def recorded_hash(path: Path) -> str:
    """Return the hash recorded when `path` was downloaded; "" without a record."""
    try:
        return path.with_name(f"{path.name}.sha256").read_text(encoding="utf-8").split()[0]
    except (OSError, IndexError, ValueError):
        return ""


def _record_hash(path: Path, sha256: str) -> None:
    files.write_text(path.with_name(f"{path.name}.sha256"), f"{sha256}  {path.name}\n")


def _file_name(url: str, name: str) -> str:
    name = name or unquote(urlsplit(url).path.rsplit("/", 1)[-1])
    if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._+-]*", name) or name.endswith((".part", ".sha256")):
        raise BadUsage(f"{name!r} is not a valid file name for the cache.", "Pass a plain name= to download().")
    return name


@contextmanager
def _writable(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise Failed(
            f"The cache folder {folder} can't be written: {reason}.",
            "Set BENCHDOG_CACHE to a writable folder.",
        ) from None


def _get(url: str, part: Path) -> None:
    """Append the missing rest of the body at `url` to `part`."""
    import requests

    have = part.stat().st_size if part.exists() else 0
    # identity: a server that decompresses .gz in transit would change the hash
    headers = {"Accept-Encoding": "identity", "User-Agent": "benchdog"}
    if have:
        headers["Range"] = f"bytes={have}-"
    try:
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
            if response.status_code == 416:  # empty range: the part is complete, or too long
                if not have:
                    raise Failed(f"{url} can't be downloaded: the server answered 416.")
                return
            _check_status(url, response)
            _receive(response, part, have)
    except (requests.ConnectionError, requests.Timeout) as error:
        raise NotAvailable(
            f"{urlsplit(url).netloc} can't be reached for {url}: {_cause(error)}.",
            f"Connect to a network, or copy the file to {_final(part)} yourself (its hash is verified).",
        ) from None
    except requests.RequestException as error:
        raise Failed(f"{url} can't be downloaded: {_cause(error)}.", "Check the address.") from None


def _check_status(url: str, response: requests.Response) -> None:
    if response.status_code not in (200, 206):
        raise Failed(
            f"{url} can't be downloaded: the server answered {response.status_code} {response.reason}.",
            "Try again later, or check whether the data has moved.",
        )


def _receive(response: requests.Response, part: Path, have: int) -> None:
    from urllib3.exceptions import HTTPError

    resumes = response.status_code == 206 and _start(response) == have
    if not resumes:
        have = 0
    if response.status_code == 206 and not resumes:
        part.unlink(missing_ok=True)  # start over
        raise _InterruptedError("the server sent another range than requested")
    length = response.headers.get("Content-Length", "")
    total = have + int(length) if length.isdigit() else None
    with files.saving(part), part.open("ab" if resumes else "wb") as out, _bar(part, have, total) as bar:
        chunks = response.raw.stream(CHUNK, decode_content=False)
        while True:
            try:
                chunk = next(chunks, b"")
            except (HTTPError, OSError) as error:
                raise _InterruptedError(_cause(error)) from None
            if not chunk:
                break
            out.write(chunk)
            bar.update(len(chunk))
        out.flush()
        os.fsync(out.fileno())


def _start(response: requests.Response) -> int:
    """Return the first byte's position of a 206 response; -1 without a Content-Range."""
    match = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return int(match[1]) if match else -1


def _final(part: Path) -> Path:
    return part.with_name(part.name.rsplit(".", 2)[0])


def _cause(error: BaseException) -> str:
    """Return the innermost reason of a chain of wrapped network errors, on one line."""
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
        desc=one_line(_final(part).name), initial=have, total=total, unit="B", unit_scale=True, unit_divisor=1024,
        disable=not terminal.draws(), file=terminal.MESSAGES, leave=False,
    )  # fmt: skip
