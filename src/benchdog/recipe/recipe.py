"""The recipe: what fixes a run. Layers (defaults, file, flags) -> a draft -> the resolved recipe -> TOML."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import tomli_w
from pydantic import Field

from benchdog.api import Bounds, Doc
from benchdog.errors import BadData, BadUsage
from benchdog.plugins.options import to_json, validate
from benchdog.system import files

PARTS = ("source", "model", "task", "trainer", "backend")
AUTO = "auto"
CODE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
"""What an option looks like that names a class."""


Count = Annotated[int, Field(ge=0)]
Size = Annotated[int, Field(ge=1)]


@dataclass(frozen=True, kw_only=True, slots=True)
class LoopConfig:
    """How long and in which portions."""

    epochs: Annotated[int, Doc("Passes over the training split."), Bounds(ge=1)] = 10
    batch_size: Annotated[
        Size | Literal["auto"],
        Doc("Samples of a step, over all ranks, a whole number from 1; auto: as many as the memory has room for."),
    ] = 128
    memory: Annotated[
        str, Doc("Memory that training may take, 8GB say; batches are cut to fit. Empty: no limit.")
    ] = ""
    accumulate: Annotated[int, Doc("Pieces in which a step's batch is computed."), Bounds(ge=1)] = 1
    mixing: Annotated[
        Literal["refuse", "allow"],
        Doc("What to do when a batch is cut whose samples see each other (BatchNorm, say): the result is another."),
    ] = "refuse"
    patience: Annotated[int, Doc("Epochs without a better one before stopping; 0 never."), Bounds(ge=0)] = 0
    log_every: Annotated[int, Doc("Steps between two lines of the metrics log."), Bounds(ge=1)] = 50
    checkpoint_steps: Annotated[int, Doc("Steps between checkpoints; 0: by time alone."), Bounds(ge=0)] = 0
    checkpoint_epochs: Annotated[int, Doc("Epochs between checkpoints; 0: by time alone."), Bounds(ge=0)] = 0
    checkpoint_seconds: Annotated[float, Doc("Seconds between checkpoints."), Bounds(gt=0)] = 60.0
    keep: Annotated[int, Doc("How many checkpoints stay, beside the best."), Bounds(ge=1)] = 2

    @property
    def batch(self) -> int:
        """The batch's size, decided."""
        return int(self.batch_size)


@dataclass(frozen=True, kw_only=True, slots=True)
class LoaderConfig:
    """How samples reach the loop."""

    workers: Annotated[
        Count | Literal["auto"], Doc("Processes that read and decode; auto: 0 for data in memory.")
    ] = "auto"
    memory: Annotated[int, Doc("MiB of decoded data that may stay in memory."), Bounds(ge=0)] = 2048
    augment: Annotated[
        tuple[str | Mapping[str, Any], ...],
        Doc('Random changes of training batches: ["flip", { name = "crop", padding = 4 }].'),
    ] = ()
    seed: Annotated[Count | Literal["auto"], Doc("Decides order and augmentation; auto: the recipe's seed.")] = "auto"
    streams: Annotated[int, Doc("Logical streams of a sharded source."), Bounds(ge=1)] = 4
    shuffle: Annotated[int, Doc("Samples in a stream's shuffle buffer."), Bounds(ge=1)] = 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class ArtifactConfig:
    """What the artifact holds."""

    samples: Annotated[int, Doc("Raw held-out samples kept in the artifact; 0 for private data."), Bounds(ge=0)] = 32
    max_batch: Annotated[int, Doc("Largest batch that exports must take."), Bounds(ge=2)] = 128


@dataclass(frozen=True, kw_only=True, slots=True)
class StartConfig:
    """The trained weights that training begins from."""

    weights: Annotated[
        str, Doc('"package": those published for the model; a run\'s name; a .safetensors, .pth or .pt file.')
    ] = ""
    rename: Annotated[
        Mapping[str, str], Doc('Regular expressions in the file\'s names: { "^backbone\\." = "" }.')
    ] = field(default_factory=dict)
    skip: Annotated[tuple[str, ...], Doc("Parts of the model, or patterns of names, that are drawn anew.")] = ()
    head: Annotated[
        Literal["new", "keep"], Doc("Draw the last layer anew, for the data's own classes, or read it too.")
    ] = "new"
    share: Annotated[
        float, Doc("Share of the parameters below the head that must fit; less is refused."), Bounds(ge=0, le=1)
    ] = 0.9
    transform: Annotated[
        Literal["as-trained", "data"], Doc("How inputs are scaled: as for the weights' training, or as for new ones.")
    ] = "as-trained"
    sha256: Annotated[str, Doc("The hash that the weights must have; noted when the recipe is resolved.")] = ""
    operations: Annotated[
        Mapping[str, tuple[Mapping[str, Any], ...]], Doc("That scaling, by field; noted when the recipe is resolved.")
    ] = field(default_factory=dict)


TABLES: dict[str, type] = {
    "start": StartConfig,
    "loop": LoopConfig,
    "loader": LoaderConfig,
    "artifact": ArtifactConfig,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class ComponentConfig:
    """A component by name, with its options in JSON form."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """A resolved recipe: every default and every `auto` decided."""

    seed: int = 0
    plugins: tuple[str, ...] = ()
    source: ComponentConfig
    model: ComponentConfig
    task: ComponentConfig
    trainer: ComponentConfig
    backend: ComponentConfig
    start: StartConfig = field(default_factory=StartConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)
    loader: LoaderConfig = field(default_factory=LoaderConfig)
    artifact: ArtifactConfig = field(default_factory=ArtifactConfig)

    @property
    def augment(self) -> tuple[ComponentConfig, ...]:
        """The augmentations, in their order."""
        return tuple(part_of(item) for item in self.loader.augment)

    @property
    def ranks(self) -> int:
        """The number of processes that share a batch."""
        return int(self.backend.options.get("ranks", 1))

    def to_json(self) -> dict[str, Any]:
        """Give the form that TOML and JSON files hold: tables of names and options."""
        parts = {kind: {"name": part.name, **part.options} for kind in PARTS for part in [getattr(self, kind)]}
        tables = {name: to_json(getattr(self, name)) for name in TABLES}
        return {"seed": self.seed, "plugins": list(self.plugins), **parts, **tables}

    def to_toml(self) -> str:
        """Give the recipe as TOML text; options that are None are left out."""
        return tomli_w.dumps(_without_none(self.to_json()))

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Recipe:
        """Take a resolved recipe's JSON form."""
        parts: dict[str, Any] = {kind: part_of(data[kind]) for kind in PARTS}
        early: dict[str, Any] = {"start": {}}  # recipes of before had none
        tables = {name: validate(table, {**early, **data}[name], f"[{name}]") for name, table in TABLES.items()}
        return cls(seed=data["seed"], plugins=tuple(data["plugins"]), **parts, **tables)


def part_of(data: str | Mapping[str, Any]) -> ComponentConfig:
    """Take a component's JSON form: its name, or a table of name and options."""
    if isinstance(data, str):
        return ComponentConfig(name=data)
    return ComponentConfig(name=data["name"], options={k: v for k, v in data.items() if k != "name"})


def with_options(recipe: Recipe, **options: Any) -> Recipe:
    """Give the recipe with some of its trainer's options as told."""
    return replace(recipe, trainer=replace(recipe.trainer, options={**recipe.trainer.options, **options}))


def same_recipe(was: Mapping[str, Any] | None, recipe: Recipe, folder: Path) -> None:
    """See that a run goes on by the recipe that it began with; more epochs are the same where nothing follows them.

    Args:
        was: what `fixed` gave then; None when nobody wrote it down.

    Raises:
        BadUsage: keys differ; names them.
    """
    now = fixed(recipe, folder)
    if was is not None and "loop.epochs" not in was:  # nothing followed it, or an older version didn't keep it
        now.pop("loop.epochs", None)
    keys = [key for key in {**was, **now} if was.get(key) != now.get(key)] if was is not None else []
    if keys:
        raise BadUsage(
            f"recipe.toml was changed since the checkpoint: {', '.join(keys)}.",
            f"Change it back, or begin anew: benchdog train {folder / 'recipe.toml'}",
        )


def _without_none(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _without_none(v) for k, v in value.items() if v is not None}
    return [_without_none(v) for v in value] if isinstance(value, list | tuple) else value


def read_resolved(folder: Path) -> Recipe:
    """Read the recipe that a run was carried out by."""
    path = folder / "recipe.toml"
    try:
        recipe = Recipe.from_json(tomllib.loads(path.read_text(encoding="utf-8")))
        return moved(recipe, {file: absolute(file, folder) for file in local_files(recipe)})
    except FileNotFoundError:
        raise BadData(
            f"{path} is missing.", "The run was killed before it began, or its folder is damaged."
        ) from None
    except (OSError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise BadData(f"{path} can't be read: {error}.", "The run's folder is damaged.") from None


def write_resolved(folder: Path, recipe: Recipe) -> None:
    """Write a run's resolved recipe; files in its folder are named from there, so that the folder can be moved."""
    files.write_text(folder / "recipe.toml", inside(recipe, folder).to_toml())


def inside(recipe: Recipe, folder: Path) -> Recipe:
    """Name the local files that lie in a folder from there."""
    base = folder.resolve()
    places = {file: Path(file).resolve() for file in local_files(recipe)}
    mine = {file: place for file, place in places.items() if place.is_relative_to(base)}
    return moved(recipe, {file: place.relative_to(base).as_posix() for file, place in mine.items()})


def fixed(recipe: Recipe, folder: Path) -> dict[str, Any]:
    """Give what may not change while a run goes on, by key: {"seed": 0, "trainer.lr": 0.001, ...}."""
    named = _without_none(inside(recipe, folder).to_json())
    told = {"seed": named["seed"]}
    for kind in ("source", "model", "task", "trainer"):
        told |= {f"{kind}.{key}": value for key, value in named[kind].items()}
    if named["start"]["weights"]:
        told |= {f"start.{key}": value for key, value in named["start"].items()}
    if _follows_length(recipe.trainer.options):
        told["loop.epochs"] = named["loop"]["epochs"]
    told["loop.batch_size"] = named["loop"]["batch_size"]
    if named["loop"]["mixing"] == "allow":  # else pieces are the same mathematics, and may change
        told["loop.accumulate"] = named["loop"]["accumulate"]
        told |= {"backend.ranks": recipe.ranks} if recipe.ranks > 1 else {}
    told |= {f"loader.{key}": named["loader"][key] for key in ("augment", "seed")}
    plain: dict[str, Any] = json.loads(json.dumps(told, default=str))
    return plain


def _follows_length(options: Mapping[str, Any]) -> bool:
    """Say whether steps depend on how many there will be: a schedule, a warm-up by share, swa."""
    scheduled = options.get("schedule", "constant") not in ("constant", "plateau")
    return scheduled or 0 < float(options.get("warmup") or 0) < 1 or options.get("average") == "swa"


def with_ranks(recipe: Recipe, ranks: int) -> Recipe:
    """Give the recipe for another number of ranks; its backend says whether it takes so many."""
    options = {**recipe.backend.options, "ranks": ranks}
    return replace(recipe, backend=replace(recipe.backend, options=options))


def moved(recipe: Recipe, kept: Mapping[str, str]) -> Recipe:
    """Point local plugin files and `file.py:Class` names at their copies."""

    def name(text: str) -> str:
        place, colon, attribute = text.rpartition(":")
        return f"{kept[place]}:{attribute}" if colon and place in kept else text

    parts = {kind: replace(part, name=name(part.name)) for kind in PARTS for part in [getattr(recipe, kind)]}
    augment = tuple({"name": name(part.name), **part.options} for part in recipe.augment)
    loader = replace(recipe.loader, augment=augment)
    plugins = tuple(kept.get(file, file) for file in recipe.plugins)
    return replace(recipe, plugins=plugins, loader=loader, **parts)


def local_files(recipe: Recipe) -> list[str]:
    """List every local Python file that a recipe names."""
    names = [name.rpartition(":")[0] for _, name in named_parts(recipe)]
    return [*recipe.plugins, *(place for place in names if place.endswith(".py"))]


def named_parts(recipe: Recipe) -> list[tuple[str, str]]:
    """List (kind, name) of every component that a recipe names."""
    return [
        *((kind, getattr(recipe, kind).name) for kind in PARTS),
        *(("augmentation", part.name) for part in recipe.augment),
    ]


def named_options(recipe: Recipe) -> list[tuple[str, str]]:
    """List (key, value) of every option that names code: ("task.criterion", "my.losses:Mine")."""
    return [
        (f"{kind}.{key}", value)
        for kind in ("model", "task", "trainer")
        for key, value in getattr(recipe, kind).options.items()
        if isinstance(value, str) and CODE.fullmatch(value)
    ]


def absolute(path: str, base: Path) -> str:
    """Give the absolute form of a path that is meant from `base`."""
    return str((base / Path(path).expanduser()).resolve())
