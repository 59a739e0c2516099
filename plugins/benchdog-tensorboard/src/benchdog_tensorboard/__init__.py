"""TensorBoard for Benchdog: an observer that writes each run's curves into `tensorboard/` of its folder."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from benchdog.api import RunFacts, hookimpl

if TYPE_CHECKING:
    from benchdog_tensorboard.board import Board

CONTRACT = 1

_boards: dict[str, Board] = {}
"""What is being written in this process, by the run's folder."""


def _board(run: RunFacts) -> Board | None:
    """Return the run's board; None where its folder was taken away, which opening a file would make again."""
    from benchdog_tensorboard.board import Board

    import_module("torch.utils.tensorboard")  # takes seconds, so that the folder is looked for afterwards
    if not Path(run.folder, "run.json").is_file():
        return None
    if run.folder not in _boards:
        _boards[run.folder] = Board(run)
    return _boards[run.folder]


def _close(run: RunFacts) -> None:
    if run.folder in _boards:
        _boards.pop(run.folder).close()


@hookimpl
def benchdog_run_started(run: RunFacts) -> None:
    """Forget what an earlier start of the run had open."""
    _close(run)


@hookimpl
def benchdog_step_ended(run: RunFacts) -> None:
    """Draw the steps that were logged."""
    if board := _board(run):
        board.catch_up(now=False)


@hookimpl
def benchdog_epoch_ended(run: RunFacts) -> None:
    """Draw an epoch's metrics."""
    if board := _board(run):
        board.catch_up(now=True)


@hookimpl
def benchdog_run_stopped(run: RunFacts) -> None:
    """Draw the rest and close the file: a resume writes another."""
    if board := _board(run):
        board.catch_up(now=True)
    _close(run)


@hookimpl
def benchdog_run_failed(run: RunFacts, error: str) -> None:
    """Write why, and the recipe with no result."""
    if board := _board(run):
        board.end({}, error)
    _close(run)


@hookimpl
def benchdog_run_ended(run: RunFacts, metrics: dict[str, float]) -> None:
    """Write the result next to the recipe, for the table of runs."""
    if board := _board(run):
        board.end(metrics)
    _close(run)
