"""The table [tune] of a recipe. Standard library only: the JSON Schema of recipes reads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

from benchdog.api import Bounds, Doc


@dataclass(frozen=True, kw_only=True)
class Range:
    """Numbers from low to high, both included; integers when both ends are."""

    low: Annotated[int | float, Doc("Lowest value.")]
    high: Annotated[int | float, Doc("Highest value.")]
    log: Annotated[bool, Doc("Search on a logarithmic scale.")] = False
    step: Annotated[int | float | None, Doc("Step between two values.")] = None
    when: Annotated[
        Mapping[str, Any], Doc('Search only where other keys have these values: { "model.name" = "mlp" }.')
    ] = field(default_factory=dict)
    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}


@dataclass(frozen=True, kw_only=True)
class Choices:
    """One of several values."""

    choices: Annotated[tuple[Any, ...], Doc("The values.")]
    when: Annotated[
        Mapping[str, Any], Doc('Search only where other keys have these values: { "model.name" = "mlp" }.')
    ] = field(default_factory=dict)
    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}


Searched = Range | Choices | tuple[Any, ...]


@dataclass(frozen=True, kw_only=True)
class Tune:
    """Settings of `benchdog tune`."""

    trials: Annotated[
        int, Doc("Number of trials; 0: as many as the time allows, or 20 without a time limit."), Bounds(ge=0)
    ] = 0
    time: Annotated[str, Doc("Start no trial after this time: 90s, 10m or 1h30m.")] = ""
    jobs: Annotated[int, Doc("Trials trained in parallel."), Bounds(ge=1)] = 1
    sampler: Annotated[Literal["tpe", "random"], Doc("The sampler.")] = "tpe"
    pruner: Annotated[Literal["median", "hyperband", "none"], Doc("Pruner: stops poor trials early.")] = "median"
    startup: Annotated[int, Doc("Startup trials: sampled at random and never pruned."), Bounds(ge=0)] = 5
    warmup: Annotated[int, Doc("Warmup epochs, in which a trial is never pruned."), Bounds(ge=0)] = 1
    space: Annotated[
        Mapping[str, Searched | Mapping[str, Searched]],
        Doc('Search space by recipe key: "trainer.lr" = { low = 1e-4, high = 0.1, log = true }, or a list.'),
    ] = field(default_factory=dict)
