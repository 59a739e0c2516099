"""MLflow for Benchdog: an observer that tells an MLflow store of every run, where MLFLOW_TRACKING_URI names one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from benchdog.api import RunFacts, hookimpl

if TYPE_CHECKING:
    from benchdog_mlflow.track import Track

CONTRACT = 1

_tracks: dict[str, Track] = {}
"""What is being told in this process, by the run's folder."""


def _track(run: RunFacts, begins: bool = False) -> Track | None:
    """Return what reports a run; None when nobody said where to."""
    uri = os.environ.get("MLFLOW_TRACKING_URI", "")
    if not uri:
        return None
    if begins or run.folder not in _tracks:
        from benchdog_mlflow.track import Track

        _tracks[run.folder] = Track(run, uri, begins)
    return _tracks[run.folder]


def _end(run: RunFacts, status: str, tags: dict[str, str], best: dict[str, float]) -> None:
    if track := _track(run):
        track.end(status, tags, best)
        del _tracks[run.folder]


@hookimpl
def benchdog_run_started(run: RunFacts) -> None:
    """Make the run in MLflow, or take up the one that it has there."""
    _track(run, begins=True)


@hookimpl
def benchdog_step_ended(run: RunFacts) -> None:
    """Report the steps that were logged, some together."""
    if track := _track(run):
        track.catch_up(now=False)


@hookimpl
def benchdog_epoch_ended(run: RunFacts) -> None:
    """Report an epoch's metrics."""
    if track := _track(run):
        track.catch_up(now=True)


@hookimpl
def benchdog_checkpoint_saved(run: RunFacts, path: str) -> None:
    """Report where the newest checkpoint lies."""
    if track := _track(run):
        track.tag("benchdog.checkpoint", path)


@hookimpl
def benchdog_run_stopped(run: RunFacts) -> None:
    """Report that a signal ended it; a resume takes it up again."""
    _end(run, "KILLED", {}, {})


@hookimpl
def benchdog_run_failed(run: RunFacts, error: str) -> None:
    """Report that it failed, and why."""
    _end(run, "FAILED", {"benchdog.error": error}, {})


@hookimpl
def benchdog_run_ended(run: RunFacts, metrics: dict[str, float]) -> None:
    """Report that it is finished, and where its artifact lies."""
    _end(run, "FINISHED", {"benchdog.model.artifact": str(Path(run.folder, "artifact"))}, metrics)


@hookimpl
def benchdog_artifact_exported(exporter: str, path: str) -> None:
    """Report where an export of a tracked run lies."""
    folder, uri = Path(path).parent.parent, os.environ.get("MLFLOW_TRACKING_URI", "")
    if uri and (folder / "mlflow.json").is_file():
        from benchdog_mlflow.track import tag_of

        tag_of(folder, uri, f"benchdog.export.{exporter}", path)
