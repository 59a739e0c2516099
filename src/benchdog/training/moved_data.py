"""Moved data of a run: opened at its new location and compared with what the run stored of it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from benchdog.errors import BadData, BadUsage, BenchdogError
from benchdog.plugins import Plugins
from benchdog.recipe.recipe import Recipe, with_values
from benchdog.recipe.resolved import WEIGHTS, data_places, is_model, write_resolved
from benchdog.runs import fingerprints, provenance
from benchdog.runs.run import Run
from benchdog.system import paths
from benchdog.training import other_models
from benchdog.training.setup import Components, fitted, reopen

PATH = "source.path"


def relocated(recipe: Recipe, given: Mapping[str, str], plugins: Plugins) -> Recipe:
    """Return the recipe of a run with new locations of its data.

    A file that lay next to the data, or in it, and is gone from there is taken from the same place in the new folder.

    Args:
        recipe: as the run has it.
        given: absolute paths by dotted key: {"source.path": "/mnt/wines.csv"}.
        plugins: know which options of the source are paths.

    Raises:
        BadUsage: a key isn't the place of data.
    """
    known = data_places(recipe, plugins)
    for key in given:
        if key not in known:
            others = f" It reads {', '.join(f'{k} = {v}' for k, v in known.items())}." if known else ""
            raise BadUsage(
                f"{key} is not a path that this run reads.{others}",
                "A run continues unchanged; only the location of its data and backend.ranks may differ.",
            )
    moved = {key: path for key, path in given.items() if path != known[key]}
    gone = {
        key: old for key, old in known.items() if key not in given and not is_model(key) and not Path(old).exists()
    }
    for key, old in gone.items() if PATH in moved else ():
        if Path(old).anchor == Path(known[PATH]).anchor:
            new = os.path.normpath(Path(moved[PATH]) / os.path.relpath(old, known[PATH]))
            moved |= {key: new} if Path(new).exists() else {}
    return with_values(recipe, moved) if moved else recipe


def reopen_run(
    run: Run, recipe: Recipe, plugins: Plugins, command: str, given: Mapping[str, str] | None = None
) -> Components:
    """Open the data of a run and build its components; a new location of the data is saved in the run's recipe.

    Args:
        run: its folder.
        recipe: its resolved recipe.
        plugins: of the run.
        command: the command that takes the new location, for the message: "evaluate last".
        given: absolute paths by dotted key, where the data is now.

    Raises:
        BadData: the data isn't there any more, or the data at the given path isn't what the run began with.
        BadUsage: a given key isn't a path of the run's data.
    """
    moved = relocated(recipe, given or {}, plugins)
    try:
        components = reopen(moved, plugins)
    except BenchdogError as error:
        raise _gone(run, data_places(moved, plugins), command, given or {}) or error from None
    if moved != recipe:
        if moved.start.weights != recipe.start.weights:
            components.build()  # which compares their SHA-256
        _compare(run, components)
        write_resolved(run.folder, moved)
        was, now = data_places(recipe, plugins), data_places(moved, plugins)
        for key in (key for key in now if was.get(key) != now[key]):
            run.log(f"moved: {key} = {now[key]}, before {was.get(key)}")
    return components


def check_start(run: Run, recipe: Recipe) -> None:
    """Check that the initial weights of a run that is to resume are still there.

    Raises:
        BadData: they aren't; says how to give their new place.
    """
    other_models.check_there(recipe.models, run.name, f"benchdog train --resume {paths.short(run.folder)}")
    weights = Path(recipe.start.weights)
    if weights.is_absolute() and not weights.exists():
        raise BadData(
            f"The initial weights of run {run.name!r} are missing: {weights} doesn't exist.",
            f"If they were moved: benchdog train --resume {paths.short(run.folder)} --set {WEIGHTS}=PATH",
        )


def _gone(run: Run, places: Mapping[str, str], command: str, given: Mapping[str, str]) -> BadData | None:
    """Return the error for data that isn't where the run's recipe says; None when all of it is there."""
    missing = {key: path for key, path in places.items() if not is_model(key) and not Path(path).exists()}
    if not missing:
        return None
    key, path = next(iter(missing.items()))
    if key in given:
        return BadData(f"{path} doesn't exist.", f"Give the current location of the data of run {run.name!r}.")
    if key == PATH:
        way = f"benchdog {command} --data PATH"
    else:
        way = f"benchdog train --resume {paths.short(run.folder)} --set {key}=PATH"
    return BadData(f"The data of run {run.name!r} is missing: {path} doesn't exist.", f"If it was moved: {way}")


def _compare(run: Run, components: Components) -> None:
    """Compare moved data with what the run stored: its spec, sample ids and fingerprints.

    Raises:
        BadData: it isn't the same; says what differs.
    """
    data = components.data
    if fitted(run.folder):
        components.fit(run.folder)
    for name in fingerprints.read(run.folder):
        if name in data.splits:
            data.load(name)
    fingerprints.check(run.folder, data.in_memory, data)
    provenance.same_samples(run, data)
