"""Signature of exports made on this machine.

An HMAC over the whole metadata, file hashes included, with a secret key in this user's state folder; so it can't
be copied from another export, and reveals nothing about the hardware. It isn't in the cache, which may be cleared
or be another one tomorrow: it was there once, and a key that is found there still counts.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchdog.system import files, paths

KEY = "machine.key"


def sign(meta: Mapping[str, Any]) -> str:
    """Return the signature of an export's metadata, its "machine" entry left out."""
    return _digest(_key(), meta)


def made_here(meta: Mapping[str, Any]) -> bool:
    """Whether the metadata was signed on this machine and is unchanged since."""
    signature = meta.get("machine")
    return isinstance(signature, str) and any(
        hmac.compare_digest(signature.encode(errors="replace"), _digest(key, meta).encode())
        for key in map(_read, _places())
        if key
    )


def _digest(key: bytes, meta: Mapping[str, Any]) -> str:
    content = {name: value for name, value in meta.items() if name != "machine"}
    text = json.dumps(content, sort_keys=True, ensure_ascii=True)
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def _places() -> tuple[Path, Path]:
    """Return where the key is, and where it was once."""
    return paths.state_dir() / KEY, paths.cache_dir() / KEY


def _key() -> bytes:
    """Read the secret key; create it if there is none, from one in the cache if that has one."""
    place, before = _places()
    if key := _read(place):
        return key
    with files.saving(place):
        place.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):  # another process was faster
            handle = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as out:
                out.write(_read(before) or secrets.token_hex(32).encode())
    return _read(place)


def _read(path: Path) -> bytes:
    """Return the key in a file; b"" if there is none."""
    try:
        key = path.read_bytes()
    except OSError:
        return b""
    return key if len(key) >= 64 else b""
