"""What a command must not replace, even where it is told to overwrite: a run's files, and those it was made from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchdog.errors import BadUsage
from benchdog.recipe.recipe import Recipe
from benchdog.system import files

ELSEWHERE = "Name a file elsewhere."


def check(paths: Sequence[Path], force: bool) -> None:
    """See that files can be written, each in its own place.

    Raises:
        BadUsage: two are one file, one lies in a run's folder, is a folder, or is there already and `force` is false.
        Failed: a place can't be looked at.
    """
    for at, path in enumerate(paths):
        with files.saving(path):
            place, there, folder = path.resolve(), path.exists(), path.is_dir()
            twice = place in [other.resolve() for other in paths[:at]]
            run = next((parent for parent in place.parents if (parent / "run.json").is_file()), None)
        if twice:
            raise BadUsage(f"{path} can't be both the program and its samples.", "Give two names: --out, --data.")
        if folder:
            raise BadUsage(f"{path} is a folder.", "Name a file in it.")
        if run:
            raise BadUsage(f"{path} lies in the folder of the run {run.name!r}, whose files stay.", ELSEWHERE)
        if there and not force:
            raise BadUsage(f"{path} is there already.", "Name another file, or overwrite it: --force")


def check_sources(paths: Sequence[Path], recipe: Recipe) -> None:
    """See that no file is one that a run was made from: its data's, or its own code's.

    Raises:
        BadUsage: one is.
    """
    values = [value for value in recipe.source.options.values() if isinstance(value, str) and value]
    given = [Path(value).resolve() for value in (*values, *recipe.plugins) if Path(value).is_absolute()]
    for path in paths:
        place = path.resolve()
        if path.exists() and any(place == source or place.is_relative_to(source) for source in given):
            raise BadUsage(f"{path} is of the data that the run was trained on: it isn't replaced.", ELSEWHERE)
