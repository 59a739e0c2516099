"""Merged layers, in which a component may still be `auto`: what lies between asking and a resolved recipe."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchdog.api import SourceInfo
from benchdog.errors import BadUsage, nearest
from benchdog.plugins import Plugins
from benchdog.plugins.options import describe, path_options, to_json, validate
from benchdog.plugins.types import RegisteredComponent
from benchdog.recipe import aliases
from benchdog.recipe.layers import Given, Layer, local_plugins
from benchdog.recipe.recipe import AUTO, PARTS, TABLES, ComponentConfig, absolute, part_of


def _accept(merged: Layer) -> None:
    """Refuse nothing."""


@dataclass(slots=True)
class Draft:
    """Merged layers, in which a component may still be `auto`."""

    values: Layer
    plugins: Plugins
    notes: tuple[str, ...] = ()

    @classmethod
    def merge(cls, layers: list[Layer], plugins: Plugins, check: Callable[[Layer], object] = _accept) -> Draft:
        """Let later layers win; a component that replaces another drops the other's options.

        Renamed keys get their names of today; `notes` reports those that a person typed. `check` is called with the
        result, before a component is looked up: it may refuse.
        """
        merged: Layer = {}
        notes: list[str] = []
        components = {"trainer": _trainer(layers, plugins)}
        for layer in (with_current_names(layer, components, notes) for layer in layers):
            for table in (*PARTS, *(f"sources.{name}" for name in names_in(layer, "sources"))):
                key = f"{table}.name"
                if key in layer and key in merged and merged[key].value != layer[key].value:
                    merged = {k: v for k, v in merged.items() if not k.startswith(f"{table}.")}
            for name in names_in(layer, "models"):
                if f"models.{name}.weights" in layer:
                    merged.pop(f"models.{name}.sha256", None)  # that of the weights before
            weights = layer.get("start.weights")
            if weights and "start.weights" in merged and merged["start.weights"].value != weights.value:
                for noted in ("start.part", "start.sha256", "start.operations"):  # those of the weights before
                    merged.pop(noted, None)
            merged.update(layer)
        check(merged)
        draft = cls(merged, plugins, tuple(notes))
        name = draft.name("source")
        if name == AUTO:
            raise BadUsage("No source is named.", nearest("", plugins.all("source")))
        found = plugins.find("source", name)
        if isinstance(found.info, SourceInfo):
            named = {kind for kind in PARTS if f"{kind}.name" in merged}
            for key, value in aliases.current_values(found.info.defaults, components).items():
                chosen = key.partition(".")[0] in named and not key.endswith(".name")
                if not chosen:
                    merged.setdefault(key, Given(value, f"source {name!r}", Path.cwd()))
        return draft

    def name(self, table: str) -> str:
        """Give the name of a table's component, or "auto"."""
        given = self.values.get(f"{table}.name")
        if given is None:
            return {"trainer": "supervised"}.get(table, AUTO)
        if not isinstance(given.value, str):
            raise BadUsage(f"{given.by}: {table}.name is {given.value!r}, not a name.")
        place, colon, attribute = given.value.rpartition(":")
        if colon and place.endswith(".py"):
            return f"{absolute(place, given.base)}:{attribute}"
        return given.value

    def part(self, kind: str, name: str = "", table: str = "") -> ComponentConfig:
        """Validate a component's options and fill in its defaults; `table` is its table, if that isn't its kind."""
        table = table or kind
        name = name or self.name(table)
        found = self.plugins.find(kind, name)
        values = {
            key.removeprefix(f"{table}."): given
            for key, given in self.values.items()
            if key.startswith(f"{table}.") and key != f"{table}.name"
        }
        if kind == "source":
            _refuse_path(found, values)
        return ComponentConfig(name=name, options=_settled(found, values, self.plugins))

    def sources(self) -> dict[str, ComponentConfig]:
        """Validate the further sources, [sources.NAME]."""
        found = {}
        for name in names_in(self.values, "sources"):
            if self.name(f"sources.{name}") == AUTO:
                raise BadUsage(f"[sources.{name}] names no source.", nearest("", self.plugins.all("source")))
            found[name] = self.part("source", table=f"sources.{name}")
        return found

    def augment(self) -> tuple[dict[str, Any], ...]:
        """Validate the augmentations and fill in their options' defaults."""
        given = self.values.get("loader.augment")
        chain = []
        for item in self.table("loader").augment:
            if not isinstance(item, str) and not isinstance(item.get("name"), str):
                raise BadUsage(
                    f"The augmentation {dict(item)!r} has no name.",
                    'Write "flip", or { name = "crop", padding = 4 }.',
                )
            part = part_of(item)
            place, colon, attribute = part.name.rpartition(":")
            if given is not None and colon and place.endswith(".py"):
                part = ComponentConfig(name=f"{absolute(place, given.base)}:{attribute}", options=part.options)
            found = self.plugins.find("augmentation", part.name)
            values = {key: Given(v, given.by if given else "", Path.cwd()) for key, v in part.options.items()}
            chain.append({"name": part.name, **_settled(found, values, self.plugins)})
        return tuple(chain)

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


def names_in(layer: Layer, table: str) -> list[str]:
    """List the names of [sources.NAME] or [models.NAME], in the order of a layer."""
    return list(dict.fromkeys(key.split(".")[1] for key in layer if key.startswith(f"{table}.")))


def with_current_names(layer: Layer, components: Mapping[str, str], notes: list[str]) -> Layer:
    """Return a layer under the names of today; a note on each recipe or `--set` with old ones is added to `notes`."""
    values = aliases.current_values({key: given.value for key, given in layer.items()}, components)
    current: Layer = {}
    renamed: dict[str, list[str]] = {}
    for old, given in layer.items():
        key = aliases.current_key(old, components)
        current[key] = replace(given, value=values[key])
        stored = (given.base / "run.json").is_file() and not given.by.startswith("--")
        if not stored and key != old:
            renamed.setdefault(given.by, []).append(f"{old} is now {key}")
        elif not stored and values[key] != given.value:
            names = (
                f"{was!r} is now {now!r}" for was, now in aliases.AUGMENTATIONS.items() if was in str(given.value)
            )
            renamed.setdefault(given.by, []).extend(names)
    notes += [f"{by}: {', '.join(names)} (the old name still works)" for by, names in renamed.items()]
    return current


def _trainer(layers: list[Layer], plugins: Plugins) -> str:
    """Return the trainer's name: the last one that is named, else the source's default, else `supervised`."""
    named = {
        key: str(layer[key].value) for layer in layers for key in ("trainer.name", "source.name") if key in layer
    }
    source = plugins.all("source").get(named.get("source.name", ""))
    default = "supervised"
    if source and isinstance(source.info, SourceInfo):
        default = str(source.info.defaults.get("trainer.name", default))
    return named.get("trainer.name", default)


def _refuse_path(found: RegisteredComponent, values: Mapping[str, Given]) -> None:
    """Say that a source takes no path, where one is given; not in the words of its options, which may be none."""
    given = values.get("path")
    if (
        given is None
        or not found.plugin
        or (found.info.options and "path" in describe(found.resolve(found.info.options)))
    ):
        return
    raise BadUsage(
        f"The source {found.info.name!r} takes no path: it brings its own data.",
        f"Leave --data out, or train on {given.value} itself: benchdog train {given.value}",
    )


def _settled(found: RegisteredComponent, values: Mapping[str, Given], plugins: Plugins) -> dict[str, Any]:
    """Make paths absolute, validate, and give the options with all defaults in JSON form."""
    plain = {key: given.value for key, given in values.items()}
    if not found.info.options:
        plugins.options(found, plain)
        return plain
    for key in path_options(found.resolve(found.info.options)):
        if key in values and isinstance(values[key].value, str):
            plain[key] = absolute(values[key].value, values[key].base)
    return to_json(plugins.options(found, plain))
