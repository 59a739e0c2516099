"""A mark on what was made on this machine, which nobody else can put there.

It is an HMAC of the whole description, file hashes included, under a secret that stays in this user's
cache folder; so it can't be copied from another export, and says nothing of the hardware.
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


def mark(meta: Mapping[str, Any]) -> str:
    """Give the mark of an export's description (its own "machine" entry left out)."""
    return _digest(_key(make=True), meta)


def made_here(meta: Mapping[str, Any]) -> bool:
    """Say whether the description bears this machine's mark and nothing in it was changed since."""
    key, given = _key(make=False), meta.get("machine")
    return (
        bool(key)
        and isinstance(given, str)
        and hmac.compare_digest(given.encode(errors="replace"), _digest(key, meta).encode())
    )


def _digest(key: bytes, meta: Mapping[str, Any]) -> str:
    content = {name: value for name, value in meta.items() if name != "machine"}
    text = json.dumps(content, sort_keys=True, ensure_ascii=True)
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def _key(make: bool) -> bytes:
    """Read the secret, or make it when there is none; b"" when there is none to read."""
    path = paths.cache_dir() / KEY
    with suppress(FileNotFoundError):
        return _read(path)
    if not make:
        return b""
    with files.saving(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):  # another process was quicker
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as out:
                out.write(secrets.token_hex(32).encode())
    return _read(path)


def _read(path: Path) -> bytes:
    key = path.read_bytes()
    return key if len(key) >= 64 else b""
