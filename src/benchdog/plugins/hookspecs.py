"""The contract between Benchdog and its plugins: every hook, with an example that runs.

A plugin is a module (or a single file) with functions marked `@hookimpl`. Its entry point, in the group
`benchdog`, names that module. Beside the hooks stands `CONTRACT = 1`, the number of the contract that it was
written for, as a literal.
"""

from __future__ import annotations

from collections.abc import Iterable

from benchdog.api import (
    AugmentationInfo,
    BackendInfo,
    ExporterInfo,
    ModelInfo,
    RunFacts,
    SourceInfo,
    TaskInfo,
    TrainerInfo,
    hookspec,
)


@hookspec
def benchdog_sources() -> Iterable[SourceInfo]:  # type: ignore[empty-body]
    """Offer data sources.

    >>> from benchdog.api import SourceInfo, hookimpl
    >>> @hookimpl
    ... def benchdog_sources():
    ...     return [SourceInfo(name="stars", summary="Star spectra.", target="stars.data:Stars")]
    """


@hookspec
def benchdog_models() -> Iterable[ModelInfo]:  # type: ignore[empty-body]
    """Offer models.

    >>> from benchdog.api import ModelInfo, hookimpl
    >>> @hookimpl
    ... def benchdog_models():
    ...     return [ModelInfo(name="tiny", summary="Two layers.", target="stars.nets:build")]
    """


@hookspec
def benchdog_tasks() -> Iterable[TaskInfo]:  # type: ignore[empty-body]
    """Offer tasks.

    >>> from benchdog.api import TaskInfo, hookimpl
    >>> @hookimpl
    ... def benchdog_tasks():
    ...     return [TaskInfo(name="ranking", summary="Order samples.", target="stars.ranking:Ranking",
    ...                      answer="stars.answers:ranking", targets=("rank",))]
    """


@hookspec
def benchdog_trainers() -> Iterable[TrainerInfo]:  # type: ignore[empty-body]
    """Offer trainers.

    >>> from benchdog.api import TrainerInfo, hookimpl
    >>> @hookimpl
    ... def benchdog_trainers():
    ...     return [TrainerInfo(name="sam", summary="Flat minima.", target="stars.sam:Sam")]
    """


@hookspec
def benchdog_exporters() -> Iterable[ExporterInfo]:  # type: ignore[empty-body]
    """Offer exporters.

    >>> from benchdog.api import ExporterInfo, hookimpl
    >>> @hookimpl
    ... def benchdog_exporters():
    ...     return [ExporterInfo(name="csv", summary="Weights as text.", target="stars.out:Csv",
    ...                          runner="stars.out:CsvRunner")]
    """


@hookspec
def benchdog_backends() -> Iterable[BackendInfo]:  # type: ignore[empty-body]
    """Offer hardware.

    >>> from benchdog.api import BackendInfo, hookimpl
    >>> @hookimpl
    ... def benchdog_backends():
    ...     return [BackendInfo(name="npu", summary="A neural unit.", target="stars.npu:Npu")]
    """


@hookspec
def benchdog_augmentations() -> Iterable[AugmentationInfo]:  # type: ignore[empty-body]
    """Offer augmentations.

    >>> from benchdog.api import AugmentationInfo, hookimpl
    >>> @hookimpl
    ... def benchdog_augmentations():
    ...     return [AugmentationInfo(name="rain", summary="Streaks of rain.", target="stars.rain:Rain")]
    """


@hookspec
def benchdog_run_started(run: RunFacts) -> None:
    """Hear that a run begins or goes on. Observers get frozen facts, on rank 0, off the loop's thread.

    The run's `recipe.toml` is written by then. With several ranks, steps, epochs and checkpoints are told in the
    process of rank 0, the rest in the one that started the ranks: what both must know lies in the run's folder.

    >>> from benchdog.api import hookimpl
    >>> @hookimpl
    ... def benchdog_run_started(run):
    ...     print("started", run.name)
    """


@hookspec
def benchdog_step_ended(run: RunFacts, step: int, loss: float) -> None:
    """Hear of a logged step: its number from 1, and the mean loss since the one logged before.

    >>> from benchdog.api import hookimpl
    >>> @hookimpl
    ... def benchdog_step_ended(step, loss):
    ...     print(step, loss)
    """


@hookspec
def benchdog_epoch_ended(run: RunFacts, epoch: int, metrics: dict[str, float]) -> None:
    """Hear of an epoch's end: its number from 1, and its scalar metrics by name ("valid.accuracy").

    >>> from benchdog.api import hookimpl
    >>> @hookimpl
    ... def benchdog_epoch_ended(epoch, metrics):
    ...     print(epoch, metrics)
    """


@hookspec
def benchdog_checkpoint_saved(run: RunFacts, step: int, path: str) -> None:
    """Hear that a checkpoint lies on the disk, whole.

    >>> from benchdog.api import hookimpl
    >>> @hookimpl
    ... def benchdog_checkpoint_saved(path):
    ...     print("saved", path)
    """


@hookspec
def benchdog_artifact_exported(exporter: str, path: str) -> None:
    """Hear that an export was written and verified.

    >>> from benchdog.api import hookimpl
    >>> @hookimpl
    ... def benchdog_artifact_exported(exporter, path):
    ...     print(exporter, path)
    """


@hookspec
def benchdog_run_stopped(run: RunFacts) -> None:
    """Hear that a signal stopped a run. A resume goes on with it: `benchdog_run_started` is told again.

    >>> from benchdog.api import hookimpl
    >>> @hookimpl
    ... def benchdog_run_stopped(run):
    ...     print(run.name, "can go on")
    """


@hookspec
def benchdog_run_failed(run: RunFacts, error: str) -> None:
    """Hear that a run failed, with the message that the user sees.

    >>> from benchdog.api import hookimpl
    >>> @hookimpl
    ... def benchdog_run_failed(run, error):
    ...     print(run.name, error)
    """


@hookspec
def benchdog_run_ended(run: RunFacts, metrics: dict[str, float]) -> None:
    """Hear that a run is finished, with the best epoch's scalar metrics.

    >>> from benchdog.api import hookimpl
    >>> @hookimpl
    ... def benchdog_run_ended(run, metrics):
    ...     print(run.name, metrics)
    """
