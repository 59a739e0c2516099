"""How a study begins: a recipe, a space that fits it, a folder; and how one is taken up again."""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchdog.api import TrainerInfo
from benchdog.errors import BadUsage, BenchdogError
from benchdog.plugins.options import describe, validate
from benchdog.recipe import plugin_tables
from benchdog.recipe.compose import Discovers, compose_draft
from benchdog.recipe.draft import Draft
from benchdog.recipe.layers import parse_toml
from benchdog.recipe.recipe import PARTS, TABLES
from benchdog.runs import names
from benchdog.training.resolve import resolve
from benchdog.training.setup import Components
from benchdog.training.time_budget import seconds_of
from benchdog_optuna.folder import Folder, find
from benchdog_optuna.options import Tune
from benchdog_optuna.space import EXAMPLE, Space, Value

TABLE = "tune"
MANY = 20
"""Trials of a study that nobody limits."""


def begin(
    what: str,
    given: Mapping[str, Any],
    settings: list[str],
    searched: list[str],
    own: Mapping[str, Any],
    name: str,
    runs: Path,
    shared: Discovers,
) -> Folder:
    """Make a study's folder, its space tried on the recipe before anything is spent.

    Args:
        what: a recipe or a source, as for `train`.
        given: flags by recipe key.
        settings: what --set says; keys of [tune] among it.
        searched: what --space says.
        own: flags of this command by key of [tune].
        name: the study's name; "" finds one.
        runs: the folder of runs.
        shared: gives the plugins.
    """
    mine = [text for text in settings if text.startswith(f"{TABLE}.")]
    rest = [text for text in settings if text not in mine]
    draft = compose_draft(what, given, rest, shared)
    table = dict(plugin_tables.table_of(parse_toml(Path(what)), TABLE, what)) if what.endswith(".toml") else {}
    tune, space = read({**table, **_own(mine), **own}, searched, what)
    fixed = {key for key, value in given.items() if value is not None} | {t.partition("=")[0].strip() for t in rest}
    if both := [key for key in space if key in fixed]:
        raise BadUsage(f"{both[0]} is both given and searched.", "Leave one of the two out.")
    parts = resolve(draft, None, runs)
    if not space:
        raise BadUsage(
            "There is nothing to search: no [tune.space] in a recipe, and no --space.",
            f"{EXAMPLE}. The options with numbers here: {', '.join(numbers(parts))}.",
        )
    _try(parts, space)
    if parts.recipe.ranks > 1 and tune.pruner != "none":
        tune = replace(tune, pruner="none")  # a watcher sees a run of one rank alone
    path = runs / (name or _free_name(parts, runs))
    return Folder.create(path, parts.recipe, tune, space, parts.task.monitor, parts.task.better)


def read(table: Mapping[str, Any], searched: list[str], what: str) -> tuple[Tune, Space]:
    """Take the table [tune] and what --space adds to it."""
    by = f"{what}: [{TABLE}]" if what.endswith(".toml") else f"[{TABLE}]"
    tune: Tune = validate(Tune, {key: value for key, value in table.items() if key != "space"}, by)
    if tune.time:
        seconds_of(tune.time)
    in_recipe = table.get("space", {})
    if not isinstance(in_recipe, Mapping):
        raise BadUsage(f"{by}: space is {in_recipe!r}, not a table.", "Write [tune.space], and keys under it.")
    space = Space.read(in_recipe, "[tune.space]")
    more: dict[str, Any] = {}
    for text in searched:
        key, equals, value = text.partition("=")
        key = key.strip()
        if not equals or not key:
            raise BadUsage(f"--space {text!r} is not KEY=VALUES.", EXAMPLE)
        if key in more:
            raise BadUsage(f"--space gives {key} twice.", "Give it once.")
        try:
            more[key] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError as error:
            raise BadUsage(f"--space {text!r} can't be read: {error}.", EXAMPLE) from None
    return tune, Space({**space, **Space.read({**space.to_json(), **more}, "--space")})


def going_on(name: str, runs: Path, own: Mapping[str, Any]) -> Folder:
    """Take up a study, with other limits if they are given."""
    folder = Folder.open(find(name, runs))
    if own.get("time"):
        seconds_of(own["time"])
    folder.about.update(own)
    return folder


def _own(settings: list[str]) -> dict[str, Any]:
    """Read what --set says of [tune]."""
    from benchdog.cli.flags import pairs

    return {key.removeprefix(f"{TABLE}."): value for key, value in pairs(settings, "tune.trials=50").items()}


def _try(parts: Components, space: Space) -> None:
    """See that the recipe takes the values of the space: a mistake is told before the first trial."""
    from benchdog_optuna.folder import draft_of

    for key, dimension in space.items():
        kind = key.partition(".")[0]
        for value in dimension.examples():
            values: dict[str, Value] = {other: allowed[0] for other, allowed in dimension.when.items()}
            draft = draft_of(parts.recipe, {**values, key: value}, parts.plugins, "[tune.space]", Path.cwd())
            try:
                _look(draft, key, kind)
            except BenchdogError as error:
                raise BadUsage(f"[tune.space] {key!r}: {error.message}", error.hint) from None


def _look(draft: Draft, key: str, kind: str) -> None:
    if key == "loader.augment":
        draft.augment()
    elif kind in TABLES:
        draft.table(kind)
    elif kind in PARTS and not key.endswith(".name"):
        draft.part(kind)
    elif kind in PARTS:
        draft.plugins.find(kind, draft.name(kind))
    else:
        assert draft.seed >= 0


def numbers(parts: Components) -> list[str]:
    """List the keys of a recipe's model and trainer that hold numbers."""
    found = []
    for kind in ("model", "trainer"):
        part = getattr(parts.recipe, kind)
        component = parts.plugins.find(kind, part.name)
        known = describe(component.resolve(component.info.options)) if component.info.options else {}
        values = {name: part.options.get(name) for name in known}
        found += [f"{kind}.{n}" for n, v in values.items() if isinstance(v, int | float) and not isinstance(v, bool)]
    return [*found, "loop.batch_size"]


def _free_name(parts: Components, runs: Path) -> str:
    """Name a study by what is trained on what, and a number."""
    recipe = parts.recipe
    info = parts.plugins.find("trainer", recipe.trainer.name).info
    brought = isinstance(info, TrainerInfo) and not info.uses_model
    stem = names.stem(recipe.source.name, (recipe.trainer if brought else recipe.model).name, parts.named_by)
    for number in itertools.count(1):
        if not (runs / f"{stem}-tune-{number}").exists():
            break
    return f"{stem}-tune-{number}"
