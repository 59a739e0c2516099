"""Hook specifications: every hook that a plugin can implement, with a runnable example.

A plugin is a module (or a single file) with functions marked `@hookimpl`. An entry point in the group `benchdog`
names the module. Next to the hooks, the literal `CONTRACT = 1` declares the contract that the plugin was written for.
"""

from __future__ import annotations

from collections.abc import Iterable

from benchdog.api import (
    AugmentationInfo,
    BackendInfo,
    DecoderInfo,
    ExporterInfo,
    ModelInfo,
    RunFacts,
    SourceInfo,
    TaskInfo,
    TrainerInfo,
    WriterInfo,
    hookspec,
)


@hookspec
def benchdog_sources() -> Iterable[SourceInfo]:  # type: ignore[empty-body]
    """Register data sources.

    >>> from benchdog.api import SourceInfo, hookimpl
    >>> @hookimpl
    ... def benchdog_sources():
    ...     return [SourceInfo(name="stars", summary="Star spectra.", target="stars.data:Stars")]
    """


@hookspec
def benchdog_models() -> Iterable[ModelInfo]:  # type: ignore[empty-body]
    """Register models.

    >>> from benchdog.api import ModelInfo, hookimpl
    >>> @hookimpl
    ... def benchdog_models():
    ...     return [ModelInfo(name="tiny", summary="Two layers.", target="stars.nets:build")]
    """


@hookspec
def benchdog_tasks() -> Iterable[TaskInfo]:  # type: ignore[empty-body]
    """Register tasks.

    >>> from benchdog.api import TaskInfo, hookimpl
    >>> @hookimpl
    ... def benchdog_tasks():
    ...     return [TaskInfo(name="ranking", summary="Order samples.", target="stars.ranking:Ranking",
    ...                      answer="stars.answers:ranking", targets=("rank",))]
    """


@hookspec
def benchdog_trainers() -> Iterable[TrainerInfo]:  # type: ignore[empty-body]
    """Register trainers.

    >>> from benchdog.api import TrainerInfo, hookimpl
    >>> @hookimpl
    ... def benchdog_trainers():
    ...     return [TrainerInfo(name="sam", summary="Flat minima.", target="stars.sam:Sam")]
    """


@hookspec
def benchdog_exporters() -> Iterable[ExporterInfo]:  # type: ignore[empty-body]
    """Register exporters.

    >>> from benchdog.api import ExporterInfo, hookimpl
    >>> @hookimpl
    ... def benchdog_exporters():
    ...     return [ExporterInfo(name="csv", summary="Weights as text.", target="stars.out:Csv",
    ...                          runner="stars.out:CsvRunner")]
    """


@hookspec
def benchdog_backends() -> Iterable[BackendInfo]:  # type: ignore[empty-body]
    """Register backends, hardware to train on.

    >>> from benchdog.api import BackendInfo, hookimpl
    >>> @hookimpl
    ... def benchdog_backends():
    ...     return [BackendInfo(name="npu", summary="A neural processing unit.", target="stars.npu:Npu")]
    """


@hookspec
def benchdog_augmentations() -> Iterable[AugmentationInfo]:  # type: ignore[empty-body]
    """Register augmentations.

    >>> from benchdog.api import AugmentationInfo, hookimpl
    >>> @hookimpl
    ... def benchdog_augmentations():
    ...     return [AugmentationInfo(name="rain", summary="Streaks of rain.", target="stars.rain:Rain")]
    """


@hookspec
def benchdog_writers() -> Iterable[WriterInfo]:  # type: ignore[empty-body]
    """Register writers of predictions that are arrays.

    >>> from benchdog.api import WriterInfo, hookimpl
    >>> @hookimpl
    ... def benchdog_writers():
    ...     return [WriterInfo(name="webp", summary="Small images.", target="stars.out:Webp", writes="image",
    ...                        suffix=".webp", media_type="image/webp")]
    """


@hookspec
def benchdog_decoders() -> Iterable[DecoderInfo]:  # type: ignore[empty-body]
    """Register decode operations, which turn a raw value into an array.

    >>> from benchdog.api import DecoderInfo, hookimpl
    >>> @hookimpl
    ... def benchdog_decoders():
    ...     return [DecoderInfo(name="wav", summary="A sound.", target="stars.sound:Wav", suffixes=(".wav",))]
    """


@hookspec
def benchdog_run_started(run: RunFacts) -> None:
    """Receive the start or the resumption of a run. Event handlers run in a thread of their own.

    The run's `recipe.toml` has been written. With several ranks, the events of steps, epochs and checkpoints are
    emitted in the process of rank 0, all others in the process that started the ranks; to share state between them,
    use the run's folder.

    >>> from benchdog.api import hookimpl
    >>> @hookimpl
    ... def benchdog_run_started(run):
    ...     print("started", run.name)
    """


@hookspec
def benchdog_step_ended(run: RunFacts, step: int, loss: float) -> None:
    """Receive a logged step: its number, from 1, and the mean loss since the previous logged step.

    >>> from benchdog.api import hookimpl
    >>> @hookimpl
    ... def benchdog_step_ended(step, loss):
    ...     print(step, loss)
    """


@hookspec
def benchdog_epoch_ended(run: RunFacts, epoch: int, metrics: dict[str, float]) -> None:
    """Receive the end of an epoch: its number, from 1, and its scalar metrics by name ("valid.accuracy").

    >>> from benchdog.api import hookimpl
    >>> @hookimpl
    ... def benchdog_epoch_ended(epoch, metrics):
    ...     print(epoch, metrics)
    """


@hookspec
def benchdog_checkpoint_saved(run: RunFacts, step: int, path: str) -> None:
    """Receive a checkpoint: it is on disk, complete.

    >>> from benchdog.api import hookimpl
    >>> @hookimpl
    ... def benchdog_checkpoint_saved(path):
    ...     print("saved", path)
    """


@hookspec
def benchdog_artifact_exported(exporter: str, path: str) -> None:
    """Receive an export that was written and verified.

    >>> from benchdog.api import hookimpl
    >>> @hookimpl
    ... def benchdog_artifact_exported(exporter, path):
    ...     print(exporter, path)
    """


@hookspec
def benchdog_run_stopped(run: RunFacts) -> None:
    """Receive the stop of a run by a signal. When it is resumed, `benchdog_run_started` is emitted again.

    >>> from benchdog.api import hookimpl
    >>> @hookimpl
    ... def benchdog_run_stopped(run):
    ...     print(run.name, "can be resumed")
    """


@hookspec
def benchdog_run_failed(run: RunFacts, error: str) -> None:
    """Receive the failure of a run, with the message that the user sees.

    >>> from benchdog.api import hookimpl
    >>> @hookimpl
    ... def benchdog_run_failed(run, error):
    ...     print(run.name, error)
    """


@hookspec
def benchdog_run_ended(run: RunFacts, metrics: dict[str, float]) -> None:
    """Receive the end of a run, with the scalar metrics of its best epoch.

    >>> from benchdog.api import hookimpl
    >>> @hookimpl
    ... def benchdog_run_ended(run, metrics):
    ...     print(run.name, metrics)
    """
