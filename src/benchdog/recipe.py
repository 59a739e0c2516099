"""The recipe: what fixes a run. Layers (defaults, file, flags) -> a draft -> the resolved recipe -> TOML."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import tomli_w
from pydantic import Field

from benchdog import files
from benchdog.api import Bounds, Doc, SourceInfo
from benchdog.errors import BadData, BadUsage, nearest
from benchdog.options import describe, to_json, validate
from benchdog.plugins import Found, Plugins

PARTS = ("source", "model", "task", "trainer", "backend")
AUTO = "auto"


@dataclass(frozen=True, kw_only=True, slots=True)
class Loop:
    """How long and in which portions."""

    epochs: Annotated[int, Doc("Passes over the training split."), Bounds(ge=1)] = 10
    batch_size: Annotated[int, Doc("Samples of a step, over all ranks."), Bounds(ge=1)] = 128
    accumulate: Annotated[int, Doc("Pieces in which a step's batch is computed."), Bounds(ge=1)] = 1
    patience: Annotated[int, Doc("Epochs without a better one before stopping; 0 never."), Bounds(ge=0)] = 0
    log_every: Annotated[int, Doc("Steps between two lines of the metrics log."), Bounds(ge=1)] = 50
    checkpoint_steps: Annotated[int, Doc("Steps between checkpoints; 0: by time alone."), Bounds(ge=0)] = 0
    checkpoint_seconds: Annotated[float, Doc("Seconds between checkpoints."), Bounds(gt=0)] = 60.0
    keep: Annotated[int, Doc("How many checkpoints stay, beside the best."), Bounds(ge=1)] = 2


Count = Annotated[int, Field(ge=0)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Loading:
    """How samples reach the loop."""

    workers: Annotated[
        Count | Literal["auto"], Doc("Processes that read and decode; auto: 0 for data in memory.")
    ] = "auto"
    memory: Annotated[int, Doc("MiB of decoded data that may stay in memory."), Bounds(ge=0)] = 2048
    streams: Annotated[int, Doc("Logical streams of a sharded source."), Bounds(ge=1)] = 4
    shuffle: Annotated[int, Doc("Samples in a stream's shuffle buffer."), Bounds(ge=1)] = 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Keeping:
    """What the artifact holds."""

    samples: Annotated[int, Doc("Raw held-out samples kept in the artifact; 0 for private data."), Bounds(ge=0)] = 32
    max_batch: Annotated[int, Doc("Largest batch that exports must take."), Bounds(ge=2)] = 128


TABLES: dict[str, type] = {"loop": Loop, "loader": Loading, "artifact": Keeping}


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A component by name, with its options in JSON form."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """A resolved recipe: every default and every `auto` decided."""

    seed: int = 0
    plugins: tuple[str, ...] = ()
    source: Part
    model: Part
    task: Part
    trainer: Part
    backend: Part
    loop: Loop = field(default_factory=Loop)
    loader: Loading = field(default_factory=Loading)
    artifact: Keeping = field(default_factory=Keeping)

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
        parts: dict[str, Any] = {
            kind: Part(name=data[kind]["name"], options={k: v for k, v in data[kind].items() if k != "name"})
            for kind in PARTS
        }
        tables = {name: validate(table, data[name], f"[{name}]") for name, table in TABLES.items()}
        return cls(seed=data["seed"], plugins=tuple(data["plugins"]), **parts, **tables)


# --- layers ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Given:
    """A value, who gave it (for messages) and the folder that its relative paths are meant from."""

    value: Any
    by: str
    base: Path


Layer = dict[str, Given]
"""Values by dotted key: "loop.epochs", "model.name", "seed"."""


def read_toml(path: Path) -> Layer:
    """Read a recipe file as a layer; unknown tables are refused."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadUsage(f"There is no recipe {path}.", "Write one: benchdog new digits > recipe.toml") from None
    except OSError as error:
        raise BadData(f"{path} can't be read: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadUsage(f"{path} is not TOML: {error}.") from None
    return layer_of(data, str(path), path.resolve().parent)


def layer_of(data: Mapping[str, Any], by: str, base: Path) -> Layer:
    """Flatten a recipe's tables; `source = "digits"` is short for a table with that name."""
    layer: Layer = {}
    for key, value in data.items():
        if isinstance(value, Mapping) and key in (*PARTS, *TABLES):
            layer.update({f"{key}.{option}": Given(item, by, base) for option, item in value.items()})
        elif key in PARTS:
            layer[f"{key}.name"] = Given(value, by, base)
        elif key in TABLES:
            raise BadUsage(f"{by}: {key} is {value!r}, not a table.", f"Write [{key}], and its keys under it.")
        else:
            layer[key] = Given(value, by, base)
    for key in layer:
        _known(key, by)
    return layer


def flags(values: Mapping[str, Any], settings: list[str]) -> Layer:
    """Put flags and `--set key=value` into one layer; the same key with two values is refused."""
    base = Path.cwd()
    layer = {key: Given(value, "a flag", base) for key, value in values.items() if value is not None}
    for key in layer:
        _known(key, "a flag")
    for setting in settings:
        key, sep, text = setting.partition("=")
        key = key.strip()
        if not sep:
            raise BadUsage(f"--set {setting!r} has no '='.", "Write --set loop.epochs=3")
        _known(key, "--set")
        value = _toml_value(text.strip())
        if key in PARTS:
            key = f"{key}.name"
        if key in layer and layer[key].value != value:
            raise BadUsage(f"{key} is given twice: {layer[key].value!r} and {value!r}.", "Give it once.")
        layer[key] = Given(value, f"--set {setting}", base)
    return layer


def _toml_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _known(key: str, by: str) -> None:
    table, dot, _ = key.partition(".")
    if table in PARTS or (not dot and table in ("seed", "plugins")):
        return
    if table in TABLES and dot:
        known = [f"{table}.{f.name}" for f in fields(TABLES[table])]
        if key in known:
            return
        raise BadUsage(f"{by}: unknown key {key!r}.", nearest(key, known))
    owners = {f.name: f"{name}.{f.name}" for name, cls in TABLES.items() for f in fields(cls)}
    top = ["seed", "plugins", *PARTS, *TABLES]
    close = [] if dot or get_close_matches(key, top) else get_close_matches(key, owners, n=1)
    hint = f"Did you mean {owners[close[0]]!r}?" if close else nearest(table, top)
    raise BadUsage(f"{by}: unknown key {key!r}.", hint)


# --- draft -----------------------------------------------------------------------------------------


@dataclass(slots=True)
class Draft:
    """Merged layers, in which a component may still be `auto`."""

    values: Layer
    plugins: Plugins

    @classmethod
    def merge(cls, layers: list[Layer], plugins: Plugins) -> Draft:
        """Let later layers win; a component chosen anew drops the options meant for the one before."""
        merged: Layer = {}
        for layer in layers:
            for kind in PARTS:
                key = f"{kind}.name"
                if key in layer and key in merged and merged[key].value != layer[key].value:
                    merged = {k: v for k, v in merged.items() if not k.startswith(f"{kind}.")}
            merged.update(layer)
        draft = cls(merged, plugins)
        name = draft.name("source")
        if name == AUTO:
            raise BadUsage("No source is named.", nearest("", plugins.all("source")))
        found = plugins.find("source", name)
        if isinstance(found.info, SourceInfo):
            named = {kind for kind in PARTS if f"{kind}.name" in merged}
            for key, value in found.info.defaults.items():
                chosen = key.partition(".")[0] in named and not key.endswith(".name")
                if not chosen:
                    merged.setdefault(key, Given(value, f"source {name!r}", Path.cwd()))
        return draft

    def name(self, kind: str) -> str:
        """Give the name of a component, or "auto"."""
        given = self.values.get(f"{kind}.name")
        if given is None:
            return {"trainer": "supervised"}.get(kind, AUTO)
        if not isinstance(given.value, str):
            raise BadUsage(f"{given.by}: {kind}.name is {given.value!r}, not a name.")
        place, colon, attribute = given.value.rpartition(":")
        if colon and place.endswith(".py"):
            return f"{_absolute(place, given.base)}:{attribute}"
        return given.value

    def part(self, kind: str, name: str = "") -> Part:
        """Validate a component's options and fill in its defaults."""
        name = name or self.name(kind)
        found = self.plugins.find(kind, name)
        values = {
            key.partition(".")[2]: given
            for key, given in self.values.items()
            if key.startswith(f"{kind}.") and key != f"{kind}.name"
        }
        return Part(name=name, options=_settled(found, values, self.plugins))

    def table(self, name: str) -> Any:
        """Validate one of the host's own tables."""
        prefix = f"{name}."
        values = {k.removeprefix(prefix): g.value for k, g in self.values.items() if k.startswith(prefix)}
        return validate(TABLES[name], values, f"[{name}]")

    @property
    def seed(self) -> int:
        """The seed, a whole number from 0."""
        seed = self.values["seed"].value if "seed" in self.values else 0
        if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**63:
            raise BadUsage(f"seed is {seed!r}, not a whole number from 0 to 2^63.")
        return seed

    @property
    def local(self) -> tuple[str, ...]:
        """Local plugin files, absolute."""
        return local_plugins(self.values)


def local_plugins(layer: Layer) -> tuple[str, ...]:
    """Give a layer's plugin files, absolute."""
    given = layer.get("plugins")
    if given is None:
        return ()
    if not isinstance(given.value, list) or not all(isinstance(item, str) for item in given.value):
        raise BadUsage(f"{given.by}: plugins is {given.value!r}, not a list of files.", 'plugins = ["./mine.py"]')
    return tuple(_absolute(item, given.base) for item in given.value)


def _settled(found: Found, values: Mapping[str, Given], plugins: Plugins) -> dict[str, Any]:
    """Make paths absolute, validate, and give the options with all defaults in JSON form."""
    plain = {key: given.value for key, given in values.items()}
    if not found.info.options:
        plugins.options(found, plain)
        return plain
    described = describe(found.resolve(found.info.options))
    for key, given in values.items():
        of_path = key in described and Path in (described[key].type, *get_args(described[key].type))
        if of_path and isinstance(given.value, str):
            plain[key] = _absolute(given.value, given.base)
    return to_json(plugins.options(found, plain))


def _absolute(path: str, base: Path) -> str:
    return str((base / Path(path).expanduser()).resolve())


def _without_none(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _without_none(v) for k, v in value.items() if v is not None}
    return [_without_none(v) for v in value] if isinstance(value, list | tuple) else value


def read_resolved(folder: Path) -> Recipe:
    """Read the recipe that a run was carried out by."""
    path = folder / "recipe.toml"
    try:
        recipe = Recipe.from_json(tomllib.loads(path.read_text(encoding="utf-8")))
        return moved(recipe, {file: _absolute(file, folder) for file in local_files(recipe)})
    except FileNotFoundError:
        raise BadData(
            f"{path} is missing.", "The run was killed before it began, or its folder is damaged."
        ) from None
    except (OSError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise BadData(f"{path} can't be read: {error}.", "The run's folder is damaged.") from None


def write_resolved(folder: Path, recipe: Recipe) -> None:
    """Write a run's resolved recipe; files in its folder are named from there, so that the folder can be moved."""
    mine = {file: Path(file) for file in local_files(recipe) if Path(file).is_relative_to(folder)}
    inside = moved(recipe, {file: path.relative_to(folder).as_posix() for file, path in mine.items()})
    files.write_text(folder / "recipe.toml", inside.to_toml())


def moved(recipe: Recipe, kept: Mapping[str, str]) -> Recipe:
    """Point local plugin files and `file.py:Class` names at their copies."""

    def name(text: str) -> str:
        place, colon, attribute = text.rpartition(":")
        return f"{kept[place]}:{attribute}" if colon and place in kept else text

    parts = {kind: replace(part, name=name(part.name)) for kind in PARTS for part in [getattr(recipe, kind)]}
    return replace(recipe, plugins=tuple(kept.get(file, file) for file in recipe.plugins), **parts)


def local_files(recipe: Recipe) -> list[str]:
    """List every local Python file that a recipe names."""
    names = [getattr(recipe, kind).name.rpartition(":")[0] for kind in PARTS]
    return [*recipe.plugins, *(place for place in names if place.endswith(".py"))]
