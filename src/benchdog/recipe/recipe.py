"""The recipe: what fixes a run. Layers (defaults, file, flags) -> a draft -> the resolved recipe -> TOML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import tomli_w
from pydantic import Field

from benchdog.api import Bounds, Doc
from benchdog.errors import BadUsage
from benchdog.plugins.options import to_json, validate
from benchdog.recipe.aliases import current_recipe
from benchdog.recipe.steps import StepCount, ceil_div
from benchdog.system.escapes import encodable

PARTS = ("source", "model", "task", "trainer", "backend")
AUTO = "auto"
NAMED = ("sources", "models")
"""Tables of tables: [sources.NAME] and [models.NAME]."""
WITH_CLASSES = ("model", "task", "trainer")
"""Kinds whose options may name classes; a source's "a:b" is a column."""

Count = Annotated[int, Field(ge=0)]
Size = Annotated[int, Field(ge=1)]


@dataclass(frozen=True, kw_only=True, slots=True)
class LoopConfig:
    """How long and in which portions."""

    epochs: Annotated[int, Doc("Passes over the training split."), Bounds(ge=1)] = 10
    steps_per_epoch: Annotated[
        int,
        Doc("Steps after which an epoch ends, a stream is read on in the next one; 0: at the end of the split."),
        Bounds(ge=0),
    ] = 0
    batch_size: Annotated[
        Size | Literal["auto"],
        Doc("Samples per step over all ranks, an integer from 1; auto: as many as fit into memory."),
    ] = 128
    memory: Annotated[
        str, Doc("Memory limit of training, such as 8GB; batches are split to fit. Empty: no limit.")
    ] = ""
    accumulate: Annotated[
        int, Doc("Micro-batches that a step's batch is split into (gradient accumulation)."), Bounds(ge=1)
    ] = 1
    allow_batch_dependence: Annotated[
        bool,
        Doc("Split batches even where something depends on the whole batch, such as BatchNorm: the result changes."),
    ] = False
    patience: Annotated[
        int, Doc("Early stopping: epochs without improvement before training stops; 0: never."), Bounds(ge=0)
    ] = 0
    log_every: Annotated[int, Doc("Steps between two lines of the metrics log."), Bounds(ge=1)] = 50
    checkpoint_steps: Annotated[int, Doc("Steps between checkpoints; 0: by time alone."), Bounds(ge=0)] = 0
    checkpoint_epochs: Annotated[int, Doc("Epochs between checkpoints; 0: by time alone."), Bounds(ge=0)] = 0
    checkpoint_seconds: Annotated[float, Doc("Seconds between checkpoints."), Bounds(gt=0)] = 60.0
    keep: Annotated[int, Doc("Number of checkpoints to keep besides the best."), Bounds(ge=1)] = 2

    @property
    def batch(self) -> int:
        """The batch size of a resolved recipe."""
        return int(self.batch_size)

    @property
    def micro_batch(self) -> int:
        """Samples of a rank's forward pass, if there is one rank; the last micro-batch may be smaller."""
        return ceil_div(self.batch, self.accumulate)

    def steps(self, samples: int | None) -> StepCount:
        """Count the steps for a training split of so many samples; None for a stream."""
        return StepCount(samples=samples, batch=self.batch, epochs=self.epochs, most=self.steps_per_epoch)


@dataclass(frozen=True, kw_only=True, slots=True)
class LoaderConfig:
    """How samples reach the loop."""

    workers: Annotated[
        Count | Literal["auto"], Doc("Worker processes that read and decode; auto: 0 for data in memory.")
    ] = "auto"
    memory: Annotated[int, Doc("Decoded data to keep in memory, in MiB."), Bounds(ge=0)] = 2048
    augment: Annotated[
        tuple[str | Mapping[str, Any], ...],
        Doc('Random changes of training batches: ["flip", { name = "crop", padding = 4 }].'),
    ] = ()
    seed: Annotated[Count | Literal["auto"], Doc("Seed of order and augmentation; auto: the recipe's seed.")] = "auto"
    streams: Annotated[int, Doc("Logical streams of a sharded source."), Bounds(ge=1)] = 4
    shuffle: Annotated[int, Doc("Samples in a stream's shuffle buffer."), Bounds(ge=1)] = 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class ArtifactConfig:
    """What the artifact holds."""

    samples: Annotated[int, Doc("Raw held-out samples kept in the artifact; 0 for private data."), Bounds(ge=0)] = 32
    max_batch: Annotated[int, Doc("Largest batch that exports must accept."), Bounds(ge=2)] = 128


@dataclass(frozen=True, kw_only=True, slots=True)
class StartConfig:
    """The trained weights that training begins from."""

    weights: Annotated[
        str,
        Doc(
            'Initial weights: "package" (those published for the model), a run\'s name, or a file: safetensors, or '
            "what torch.save wrote."
        ),
    ] = ""
    part: Annotated[
        str, Doc('Part of a checkpoint that holds the weights, such as "ema.model"; empty: the only one.')
    ] = ""
    rename: Annotated[
        Mapping[str, str], Doc('Regular expressions in the file\'s names: { "^backbone\\." = "" }.')
    ] = field(default_factory=dict)
    skip: Annotated[tuple[str, ...], Doc("Layer groups, or patterns of parameter names, to reinitialize.")] = ()
    head: Annotated[
        Literal["new", "keep"], Doc("Reinitialize the last layer for the data's classes, or load it too.")
    ] = "new"
    share: Annotated[
        float, Doc("Minimum fraction of the parameters below the head that must match."), Bounds(ge=0, le=1)
    ] = 0.9
    transform: Annotated[
        Literal["as-trained", "data"],
        Doc("Normalization of inputs: that of the weights' training, or that of the new data."),
    ] = "as-trained"
    sha256: Annotated[str, Doc("Expected hash of the weights; recorded when the recipe is resolved.")] = ""
    operations: Annotated[
        Mapping[str, tuple[Mapping[str, Any], ...]],
        Doc("Normalization by field; recorded when the recipe is resolved."),
    ] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class OutputConfig:
    """How the score is read from what the model returns."""

    score: Annotated[
        str | int,
        Doc('Which output is the score, of a model that returns several: "0" or "logits"; empty: the one that fits.'),
    ] = ""
    form: Annotated[
        Literal["auto", "score", "probabilities", "logit", "probability"],
        Doc(
            "What that output is: the task's score (logits, say), probabilities, or for two classes one logit or one "
            "probability; auto: what its shape and values say, refused where they leave a choice."
        ),
    ] = "auto"
    positive: Annotated[str | int, Doc("The class of the one logit or probability; empty: the second.")] = ""

    def __post_init__(self) -> None:
        for name in ("score", "positive"):  # positions and classes are often numbers: 0 is the name "0"
            object.__setattr__(self, name, str(getattr(self, name)))


TABLES: dict[str, type] = {
    "start": StartConfig,
    "output": OutputConfig,
    "loop": LoopConfig,
    "loader": LoaderConfig,
    "artifact": ArtifactConfig,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class OtherModelConfig:
    """A trained model that the trainer uses besides the one that it trains: the table [models.NAME]."""

    weights: Annotated[str, Doc("The trained model: a run's name, or the folder of a run or an artifact.")]
    match: Annotated[
        bool,
        Doc("Refuse a model with other inputs, another transform or other classes than the data's."),
    ] = True
    sha256: Annotated[str, Doc("Expected hash of its weights; recorded when the recipe is resolved.")] = ""


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
    output: OutputConfig = field(default_factory=OutputConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)
    loader: LoaderConfig = field(default_factory=LoaderConfig)
    artifact: ArtifactConfig = field(default_factory=ArtifactConfig)
    sources: Mapping[str, ComponentConfig] = field(default_factory=dict)
    models: Mapping[str, OtherModelConfig] = field(default_factory=dict)

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
        parts = {kind: _table(getattr(self, kind)) for kind in PARTS}
        tables = {name: to_json(getattr(self, name)) for name in TABLES}
        others: dict[str, Any] = {
            "sources": {name: _table(part) for name, part in self.sources.items()},
            "models": {name: to_json(model) for name, model in self.models.items()},
        }
        named = {table: items for table, items in others.items() if items}
        return {"seed": self.seed, "plugins": list(self.plugins), **parts, **tables, **named}

    def to_toml(self) -> str:
        """Give the recipe as TOML text; options that are None are left out."""
        return tomli_w.dumps(without_none(self.to_json()))

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Recipe:
        """Read a resolved recipe's JSON form; an older one may have keys that were renamed since."""
        data = current_recipe(data)
        parts: dict[str, Any] = {kind: part_of(data[kind]) for kind in PARTS}
        early: dict[str, Any] = {"start": {}, "output": {"form": "score"}}  # recipes of before had none
        tables = {name: validate(table, {**early, **data}[name], f"[{name}]") for name, table in TABLES.items()}
        named: dict[str, Any] = {
            "sources": {name: part_of(part) for name, part in data.get("sources", {}).items()},
            "models": {
                name: validate(OtherModelConfig, model, f"[models.{name}]")
                for name, model in data.get("models", {}).items()
            },
        }
        return cls(seed=data["seed"], plugins=tuple(data["plugins"]), **parts, **tables, **named)


def _table(part: ComponentConfig) -> dict[str, Any]:
    return {"name": part.name, **part.options}


def part_of(data: str | Mapping[str, Any]) -> ComponentConfig:
    """Take a component's JSON form: its name, or a table of name and options."""
    if isinstance(data, str):
        return ComponentConfig(name=data)
    return ComponentConfig(name=data["name"], options={k: v for k, v in data.items() if k != "name"})


def with_values(recipe: Recipe, values: Mapping[str, Any]) -> Recipe:
    """Return the recipe with other values by dotted key: {"loop.epochs": 3, "sources.photos.path": "/data"}."""
    changed: dict[str, Any] = {}
    for key, value in values.items():
        table, _, name = key.partition(".")
        changed[table] = _with_value(changed.get(table, getattr(recipe, table)), name, value)
    return replace(recipe, **changed)


def _with_value(current: Any, name: str, value: Any) -> Any:
    """Return a table with another value of one of its keys."""
    if isinstance(current, Mapping):
        item, _, option = name.partition(".")
        return {**current, item: _with_value(current[item], option, value)}
    if isinstance(current, ComponentConfig):
        return replace(current, options={**current.options, name: value})
    return replace(current, **{name: value})


def without_none(value: Any) -> Any:
    """Return nested tables and lists without the keys whose value is None, which TOML can't hold."""
    if isinstance(value, Mapping):
        return {k: without_none(v) for k, v in value.items() if v is not None}
    return [without_none(v) for v in value] if isinstance(value, list | tuple) else value


def absolute(path: str, base: Path) -> str:
    """Return a path made absolute; a relative one is relative to `base`.

    Raises:
        BadUsage: it can't be written down: a name in it isn't UTF-8.
    """
    found = str((base / Path(path).expanduser()).resolve())
    if encodable(found) != found:
        raise BadUsage(
            f"A name in the path {found} is not UTF-8, so no recipe can hold it.", "Rename it, or link to it."
        )
    return found
