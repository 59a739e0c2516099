"""The diary: a line for an event. It is written off the training's thread, so it costs a run nothing."""

from datetime import datetime
from pathlib import Path


def note(folder: str, text: str) -> None:
    """Add a line with the time of day."""
    with Path(folder, "diary.txt").open("a", encoding="utf-8") as diary:
        diary.write(f"{datetime.now():%H:%M:%S} {text}\n")
