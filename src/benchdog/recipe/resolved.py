"""Resolved recipes on disk: reading, writing, relocating local files, and what a resume may not change."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchdog.errors import BadData, BadUsage, BenchdogError
from benchdog.plugins.options import path_options
from benchdog.plugins.trust import references
from benchdog.recipe.aliases import current_values
from benchdog.recipe.recipe import NAMED, PARTS, WITH_CLASSES, ComponentConfig, Recipe, absolute, without_none
from benchdog.system import files, parsing

if TYPE_CHECKING:
    from benchdog.plugins import Plugins

FILE = "recipe.toml"
WEIGHTS = "start.weights"
PLAIN_OUTPUT = {"score": "", "form": "score", "positive": ""}
"""The table [output] for a model that returns its score, which runs of older versions don't have."""


def read_resolved(folder: Path) -> Recipe:
    """Read the recipe that a run was trained by.

    Raises:
        BadData: the file is missing or damaged.
    """
    path = folder / FILE
    try:
        recipe = Recipe.from_json(parsing.read_toml(path))
        return relocate(recipe, {file: absolute(file, folder) for file in local_files(recipe)})
    except FileNotFoundError:
        raise BadData(
            f"{path} is missing.", "The run was killed before it started, or its folder is damaged."
        ) from None
    except (OSError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise BadData(f"{path} can't be read: {error}.", "The run's folder is damaged.") from None


def write_resolved(folder: Path, recipe: Recipe) -> None:
    """Write a run's recipe; files in its folder are named relative to it, so that the folder can be moved."""
    files.write_text(folder / FILE, relative_to_folder(recipe, folder).to_toml())


def relative_to_folder(recipe: Recipe, folder: Path) -> Recipe:
    """Return the recipe with the local files that lie in a folder named relative to it."""
    base = folder.resolve()
    paths = {file: Path(file).resolve() for file in local_files(recipe)}
    inside = {file: path.relative_to(base).as_posix() for file, path in paths.items() if path.is_relative_to(base)}
    return relocate(recipe, inside)


def relocate(recipe: Recipe, copies: Mapping[str, str]) -> Recipe:
    """Return the recipe with local plugin files and `file.py:Class` names pointing at copies: {path: new path}."""

    def name(text: str) -> str:
        path, colon, attribute = text.rpartition(":")
        return f"{copies[path]}:{attribute}" if colon and path in copies else text

    components: dict[str, Any] = {
        kind: replace(part, name=name(part.name)) for kind in PARTS for part in [getattr(recipe, kind)]
    }
    components["sources"] = {key: replace(part, name=name(part.name)) for key, part in recipe.sources.items()}
    augment = tuple({"name": name(part.name), **part.options} for part in recipe.augment)
    loader = replace(recipe.loader, augment=augment)
    plugins = tuple(copies.get(file, file) for file in recipe.plugins)
    return replace(recipe, plugins=plugins, loader=loader, **components)


def local_files(recipe: Recipe) -> list[str]:
    """List the local Python files that a recipe names."""
    paths = [name.rpartition(":")[0] for _, name in named_components(recipe)]
    return [*recipe.plugins, *(path for path in paths if path.endswith(".py"))]


def named_components(recipe: Recipe) -> list[tuple[str, str]]:
    """List (kind, name) of every component of a recipe."""
    return [
        *((kind, getattr(recipe, kind).name) for kind in PARTS),
        *(("augmentation", part.name) for part in recipe.augment),
        *(("source", part.name) for part in recipe.sources.values()),
    ]


def options_naming_code(recipe: Recipe) -> list[tuple[str, str]]:
    """List (key, value) of every option that names a class: ("task.criterion", "my.losses:Mine")."""
    return [
        (f"{kind}.{key}", value) for kind in WITH_CLASSES for key, value in references(getattr(recipe, kind).options)
    ]


def data_places(recipe: Recipe, plugins: Plugins) -> dict[str, str]:
    """Return the paths of what a run reads, by dotted key: {"source.path": "/data/wines.csv"}."""
    tables = {"source": recipe.source, **{f"sources.{name}": part for name, part in recipe.sources.items()}}
    found = {}
    for table, part in tables.items():
        found.update(_paths_of(table, part, plugins))
    return found | models_of(recipe)


def is_model(key: str) -> bool:
    """Whether a dotted key names the place of a trained model."""
    return key == WEIGHTS or key.startswith("models.")


def models_of(recipe: Recipe) -> dict[str, str]:
    """Return the paths of the trained models that a run reads, by dotted key."""
    weights = {WEIGHTS: recipe.start.weights, **{f"models.{k}.weights": m.weights for k, m in recipe.models.items()}}
    return {key: value for key, value in weights.items() if Path(value).is_absolute()}


def _paths_of(table: str, part: ComponentConfig, plugins: Plugins) -> dict[str, str]:
    try:
        info = plugins.find("source", part.name)
        names = path_options(info.resolve(info.info.options)) if info.info.options else ["path"]
    except BenchdogError:  # a live object of a notebook
        return {}
    values = {f"{table}.{name}": part.options.get(name) for name in names}
    return {key: value for key, value in values.items() if isinstance(value, str) and value}


def resume_invariants(recipe: Recipe, folder: Path) -> dict[str, Any]:
    """Return what a resume may not change, by dotted key: {"seed": 0, "trainer.lr": 0.001, ...}."""
    tables = without_none(relative_to_folder(recipe, folder).to_json())
    values = {"seed": tables["seed"]}
    for kind in ("source", "model", "task", "trainer"):
        values |= {f"{kind}.{key}": value for key, value in tables[kind].items()}
    for kind in NAMED:
        for name, table in tables.get(kind, {}).items():
            values |= {f"{kind}.{name}.{key}": value for key, value in table.items()}
    if tables["start"]["weights"]:
        # runs of older versions, which had no `part`, resume too
        values |= {f"start.{key}": value for key, value in tables["start"].items() if key != "part" or value}
    if any(tables["output"][key] != plain for key, plain in PLAIN_OUTPUT.items()):
        values |= {f"output.{key}": value for key, value in tables["output"].items()}
    if _depends_on_length(recipe.trainer.options):
        values["loop.epochs"] = tables["loop"]["epochs"]
    values["loop.batch_size"] = tables["loop"]["batch_size"]
    if tables["loop"]["allow_batch_dependence"]:  # otherwise micro-batches don't change the result, and may change
        values["loop.accumulate"] = tables["loop"]["accumulate"]
        values |= {"backend.ranks": recipe.ranks} if recipe.ranks > 1 else {}
    values |= {f"loader.{key}": tables["loader"][key] for key in ("augment", "seed")}
    plain: dict[str, Any] = json.loads(json.dumps(values, default=str))
    return plain


def check_unchanged(
    stored: Mapping[str, Any] | None, recipe: Recipe, folder: Path, places: Iterable[str] = ()
) -> None:
    """Check that a run resumes with its own recipe; more epochs are allowed where nothing depends on their number.

    Args:
        stored: `resume_invariants` of then; None when they weren't written.
        places: keys that name where data lies, which may have been moved: the data itself is compared.

    Raises:
        BadUsage: keys differ; names them.
    """
    if stored is None:
        return
    stored = current_values(stored, {"trainer": recipe.trainer.name})
    now = resume_invariants(recipe, folder)
    if "loop.epochs" not in stored:  # nothing depended on it, or an older version didn't store it
        now.pop("loop.epochs", None)
    if keys := [key for key in {**stored, **now} if key not in places and stored.get(key) != now.get(key)]:
        raise BadUsage(
            f"recipe.toml was changed since the checkpoint: {', '.join(keys)}.",
            f"Change it back, or train again from the start: benchdog train {folder / FILE}",
        )


def _depends_on_length(options: Mapping[str, Any]) -> bool:
    """Whether steps depend on how many there will be: a schedule, a warm-up by share, SWA."""
    scheduled = options.get("schedule", "constant") not in ("constant", "plateau")
    return scheduled or 0 < float(options.get("warmup") or 0) < 1 or options.get("average") == "swa"
