"""The document of a run, typed: run.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, cast

from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict  # pydantic takes typing's from Python 3.12 on

from benchdog.api import Task
from benchdog.recipe.recipe import Recipe

Status = Literal["running", "stopped", "failed", "finished"]


class BestEpoch(TypedDict):
    """The best epoch and its value of the monitored metric on the validation split."""

    epoch: int
    metric: str
    value: float


class RankChange(TypedDict):
    """The number of ranks from a step on."""

    step: int
    ranks: int


class RunDocument(TypedDict, total=False):
    """What run.json holds; docs/reference/formats.md describes it.

    `seen`: by split, the samples that are also in earlier splits.
    `read`: what the source found, used and skipped, by reason; None where it doesn't count.
    `machine`: this machine's signature over local code.
    `start`: where the weights came from, for a fine-tuned model.
    """

    format: int
    name: str
    benchdog: str
    status: Status
    created: str
    seconds: float
    error: str | None
    epochs_done: int
    steps_done: int
    best: BestEpoch | None
    source: str
    model: str
    task: str
    trainer: str
    backend: str
    monitor: str
    better: str
    parameters: int
    samples: dict[str, int | None]
    seen: dict[str, int]
    read: dict[str, Any] | None
    machine: str | None
    data: str | None
    ranks: list[RankChange]
    start: dict[str, Any]


def checked(document: Mapping[str, Any]) -> RunDocument:
    """Return a document that was read from a file; ValueError says which value is of a wrong type."""
    try:
        TypeAdapter(RunDocument).validate_python(document, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    return cast(RunDocument, document)


def describe(recipe: Recipe, task: Task, samples: dict[str, int | None]) -> RunDocument:
    """Return what a new run's document takes from its recipe, its task and the sizes of its splits."""
    return {
        "source": recipe.source.name,
        "model": recipe.model.name,
        "task": recipe.task.name,
        "trainer": recipe.trainer.name,
        "backend": recipe.backend.name,
        "monitor": task.monitor,
        "better": task.better,
        "samples": samples,
    }
