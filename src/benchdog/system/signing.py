"""Signature of exports made on this machine.

An HMAC over the whole metadata, file hashes included, with a secret key in this user's cache folder; so it can't
be copied from another export, and reveals nothing about the hardware.
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
    return _digest(_key(create=True), meta)


def made_here(meta: Mapping[str, Any]) -> bool:
    """Whether the metadata was signed on this machine and is unchanged since."""
    key, signature = _key(create=False), meta.get("machine")
    return (
        bool(key)
        and isinstance(signature, str)
        and hmac.compare_digest(signature.encode(errors="replace"), _digest(key, meta).encode())
    )


def _digest(key: bytes, meta: Mapping[str, Any]) -> str:
    content = {name: value for name, value in meta.items() if name != "machine"}
    text = json.dumps(content, sort_keys=True, ensure_ascii=True)
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def _key(create: bool) -> bytes:
    """Read the secret key, or create it; b"" if there is none and it isn't to be created."""
    path = paths.cache_dir() / KEY
    with suppress(FileNotFoundError):
        return _read(path)
    if not create:
        return b""
    with files.saving(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):  # another process was faster
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as out:
                out.write(secrets.token_hex(32).encode())
    return _read(path)


def _read(path: Path) -> bytes:
    key = path.read_bytes()
    return key if len(key) >= 64 else b""
