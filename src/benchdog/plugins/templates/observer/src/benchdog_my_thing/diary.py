"""The diary: one line per event, written off the training thread, so a run is not slowed down."""

from datetime import datetime
from pathlib import Path


def note(folder: str, text: str) -> None:
    """Append a line with the time of day."""
    with Path(folder, "diary.txt").open("a", encoding="utf-8") as diary:
        diary.write(f"{datetime.now():%H:%M:%S} {text}\n")
