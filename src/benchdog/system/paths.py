"""Cache, state and runs directories; paths formatted for people."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def cache_dir() -> Path:
    """Return the folder of downloads: $BENCHDOG_CACHE, else the user's cache directory."""
    chosen = os.environ.get("BENCHDOG_CACHE")
    if chosen:
        return Path(chosen).expanduser().absolute()
    import platformdirs

    return Path(platformdirs.user_cache_dir("benchdog", appauthor=False))


def state_dir() -> Path:
    """Return the folder of this user's secret key and of what is remembered of plugins: $BENCHDOG_STATE, else the
    system's folder for state.
    """
    if chosen := os.environ.get("BENCHDOG_STATE"):
        return Path(chosen).expanduser().absolute()
    if sys.platform in ("win32", "darwin"):
        import platformdirs

        return Path(platformdirs.user_state_dir("benchdog", appauthor=False))
    base = os.environ.get("XDG_STATE_HOME", "")  # as platformdirs does, whose import takes a tenth of the start-up
    return (Path(base) if os.path.isabs(base) else Path("~/.local/state").expanduser()) / "benchdog"  # noqa: PTH117


def runs_dir(flag: Path | None = None) -> Path:
    """Return the folder of runs: the flag's, else $BENCHDOG_RUNS, else ./runs."""
    chosen = flag or Path(os.environ.get("BENCHDOG_RUNS") or "runs")
    return chosen.expanduser().absolute()


def short_name(name: str) -> str:
    """Shorten a component's name: "/some/where/file.py:Class" becomes "file.py:Class"."""
    path, colon, attribute = name.rpartition(":")
    return f"{Path(path).name}:{attribute}" if colon and path.endswith(".py") else name


def short(path: Path) -> str:
    """Shorten a path: relative if it is below the working directory."""
    try:
        return str(path.absolute().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
