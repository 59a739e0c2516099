"""Starting and resuming studies: a recipe, a search space that fits it, a folder."""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchdog import Experiment, PluginContext, parse_duration, recipe_table, validate_options
from benchdog.api import BadUsage, BenchdogError
from benchdog.cli import flags
from benchdog_optuna.options import Tune
from benchdog_optuna.space import EXAMPLE, Space, Value
from benchdog_optuna.study_folder import StudyFolder, find_study

TABLE = "tune"
DEFAULT_TRIALS = 20
"""Trials of a study without a limit of trials or time."""


def create_study(
    what: str,
    recipe_flags: Mapping[str, Any],
    settings: list[str],
    space_flags: list[str],
    tune_flags: Mapping[str, Any],
    name: str,
    runs: Path,
    context: PluginContext,
) -> StudyFolder:
    """Create a study's folder, after the values of its space were checked against the recipe.

    Args:
        what: a recipe or a source, as for `train`.
        recipe_flags: flags by recipe key.
        settings: the values of --set, those for [tune] among them.
        space_flags: the values of --space.
        tune_flags: flags of this command by key of [tune].
        name: the study's name; "" picks one.
        runs: the folder of runs.
        context: discovers the plugins.
    """
    tune_settings = [text for text in settings if text.startswith(f"{TABLE}.")]
    recipe_settings = [text for text in settings if text not in tune_settings]
    experiment = Experiment.compose(what, recipe_flags, recipe_settings, plugins=context, runs_dir=runs)
    table = dict(recipe_table(Path(what), TABLE)) if what.endswith(".toml") else {}
    tune, space = read({**table, **_tune_settings(tune_settings), **tune_flags}, space_flags, what)
    fixed = {key for key, value in recipe_flags.items() if value is not None}
    fixed |= {text.partition("=")[0].strip() for text in recipe_settings}
    if both := [key for key in space if key in fixed]:
        raise BadUsage(f"{both[0]} is both given and searched.", "Leave one of the two out.")
    if not space:
        raise BadUsage(
            "There is nothing to search: no [tune.space] in a recipe, and no --space.",
            f"{EXAMPLE}. Numeric options here: {', '.join(experiment.numeric_keys())}.",
        )
    _check_space(experiment, space)
    if experiment.ranks > 1 and tune.pruner != "none":
        tune = replace(tune, pruner="none")  # a watcher sees the epochs of single-rank runs only
    return StudyFolder.create(runs / (name or _free_name(experiment.stem, runs)), experiment, tune, space)


def read(table: Mapping[str, Any], space_flags: list[str], what: str) -> tuple[Tune, Space]:
    """Validate the table [tune], and add what --space gives to its space."""
    by = f"{what}: [{TABLE}]" if what.endswith(".toml") else f"[{TABLE}]"
    tune: Tune = validate_options(Tune, {key: value for key, value in table.items() if key != "space"}, by)
    if tune.time:
        parse_duration(tune.time)
    in_recipe = table.get("space", {})
    if not isinstance(in_recipe, Mapping):
        raise BadUsage(f"{by}: space is {in_recipe!r}, not a table.", "Write [tune.space], and keys under it.")
    space = Space.read(in_recipe, "[tune.space]")
    more: dict[str, Any] = {}
    for text in space_flags:
        key, equals, value = text.partition("=")
        key = key.strip()
        if not equals or not key:
            raise BadUsage(f"--space {text!r} is not KEY=VALUES.", EXAMPLE)
        if key in more:
            raise BadUsage(f"--space gives {key} twice.", "Pass it once.")
        try:
            more[key] = tomllib.loads(f"value = {value}")["value"]
        except (ValueError, RecursionError) as error:
            raise BadUsage(f"--space {text!r} can't be read: {error}.", EXAMPLE) from None
    return tune, Space({**space, **Space.read({**space.to_json(), **more}, "--space")})


def open_study(name: str, runs: Path, tune_flags: Mapping[str, Any], context: PluginContext) -> StudyFolder:
    """Open a study to resume it, with other limits if they are given."""
    folder = StudyFolder.open(find_study(name, runs), context)
    if tune_flags.get("time"):
        parse_duration(tune_flags["time"])
    folder.about.update(tune_flags)
    return folder


def _tune_settings(settings: list[str]) -> dict[str, Any]:
    pairs = flags.pairs(settings, "tune.trials=50")
    return {key.removeprefix(f"{TABLE}."): value for key, value in pairs.items()}


def _check_space(experiment: Experiment, space: Space) -> None:
    """Check the ends and choices of every dimension, so that a mistake is reported before the first trial."""
    for key, dimension in space.items():
        for value in dimension.examples():
            values: dict[str, Value] = {other: allowed[0] for other, allowed in dimension.when.items()}
            try:
                experiment.check({**values, key: value}, key, "[tune.space]")
            except BenchdogError as error:
                raise BadUsage(f"[tune.space] {key!r}: {error.message}", error.hint) from None


def _free_name(stem: str, runs: Path) -> str:
    names = (f"{stem}-tune-{number}" for number in itertools.count(1))
    return next(name for name in names if not (runs / name).exists())
