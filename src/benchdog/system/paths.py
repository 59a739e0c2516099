"""Where things lie: the cache of downloaded data, and the runs."""

from __future__ import annotations

import os
from pathlib import Path


def cache_dir() -> Path:
    """Give the folder of downloaded data: $BENCHDOG_CACHE, else the system's place for caches."""
    chosen = os.environ.get("BENCHDOG_CACHE")
    if chosen:
        return Path(chosen).expanduser().absolute()
    import platformdirs

    return Path(platformdirs.user_cache_dir("benchdog", appauthor=False))


def runs_dir(flag: Path | None = None) -> Path:
    """Give the folder of runs: the flag's, else $BENCHDOG_RUNS, else ./runs."""
    chosen = flag or Path(os.environ.get("BENCHDOG_RUNS") or "runs")
    return chosen.expanduser().absolute()


def short_name(name: str) -> str:
    """Give a component's name for people: "/some/where/file.py:Class" without its folder."""
    place, colon, attribute = name.rpartition(":")
    return f"{Path(place).name}:{attribute}" if colon and place.endswith(".py") else name


def short(path: Path) -> str:
    """Give a path for people: relative where it lies below the working folder."""
    try:
        return str(path.absolute().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
