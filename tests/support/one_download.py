"""A download in a spawned process, which imports this module."""

import os
from threading import Barrier

from benchdog.data.download import SourceCache


def download(url: str, sha256: str, folder: str, gate: Barrier) -> None:
    """Download into a cache folder, at the same moment as the others at the gate."""
    os.environ["BENCHDOG_CACHE"] = folder
    gate.wait()
    SourceCache("demo").download(url, sha256=sha256)
