"""A new SQLite store: made aside in a process of its own, then renamed.

MLflow makes its tables in many steps, which take seconds. In the training's process they would slow it, and a run
that ends meanwhile would leave half a database behind, which MLflow then refuses for ever.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from benchdog.api import Failed

TIMEOUT = 300.0


def file_of(uri: str) -> Path | None:
    """Return the file of an SQLite store; None for any other."""
    if not uri.startswith("sqlite"):
        return None
    from sqlalchemy.engine import make_url

    name = make_url(uri).database
    return None if not name or name == ":memory:" or name.startswith("file:") else Path(name)


def make_ready(uri: str) -> None:
    """Check that the file of an SQLite store is there.

    Raises:
        Failed: it couldn't be made.
    """
    path = file_of(uri)
    if path is None or path.exists():
        return
    command = [sys.executable, "-m", "benchdog_mlflow.new_store", str(path.absolute())]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    if done.returncode or not path.exists():
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise Failed(f"{path} couldn't be made: {lines[-1] if lines else 'no reason given'}.")


def main(path: Path) -> None:
    """Make a store; where another process was quicker, its file stays."""
    from benchdog_mlflow.track import client_of

    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        client_of(f"sqlite:///{aside.as_posix()}").search_experiments()
        try:
            os.link(aside, path)  # unlike a rename, it replaces nothing
        except FileExistsError:
            pass
        except OSError:  # not every file system has links
            if not path.exists():
                aside.rename(path)
    finally:
        aside.unlink(missing_ok=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
