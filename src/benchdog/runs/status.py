"""The status of a run, as others see it: run.json says "running" for ever if its process was killed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def held(folder: Path) -> bool:
    """Whether a process works in a run now; never creates a lock file."""
    if not (folder / "lock").exists():
        return False
    from filelock import FileLock, Timeout

    probe = FileLock(folder / "lock")
    try:
        probe.acquire(timeout=0)
    except Timeout:
        return True
    except OSError:
        return False
    probe.release()
    return False


def status(folder: Path, document: Mapping[str, Any]) -> str:
    """Return the status that a run's document has; "interrupted" for one that is running in no process."""
    said = str(document.get("status") or "unknown")
    return "interrupted" if said == "running" and not held(folder) else said
