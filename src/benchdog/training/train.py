"""Training in a run's folder: here, or on several ranks in processes of their own."""

from __future__ import annotations

from typing import NamedTuple

from torch import nn

from benchdog.api import LaunchingBackend, Trained, Watcher
from benchdog.errors import Failed
from benchdog.recipe.resolved import write_resolved
from benchdog.runs.checkpoints import Checkpoints
from benchdog.runs.run import Run
from benchdog.training import launch
from benchdog.training.progress import say
from benchdog.training.rank import train_rank
from benchdog.training.resolve.batch_size import out_of_memory, smaller_micro_batches
from benchdog.training.setup import Components


class TrainedComponents(NamedTuple):
    """What a training leaves: components with a fitted transform and task, and what was trained.

    `trained` is set if the trainer brought a model of its own; otherwise `model` has the weights of the last epoch,
    or of none, and the best are in the checkpoints.
    """

    components: Components
    trained: Trained | None
    model: nn.Module


def train_model(
    run: Run, components: Components, *, quiet: bool = False, watcher: Watcher | None = None
) -> TrainedComponents:
    """Train, from the newest checkpoint if there is one.

    Raises:
        Stopped: by a signal, after a checkpoint.
        Failed: the loss became NaN, memory isn't enough, or a rank failed.
    """
    components.plugins.emit("benchdog_run_started", run=components.facts(run))
    if components.recipe.ranks == 1:
        return _train_here(run, components, quiet, watcher)
    components.fit(run.folder)
    backend = components.backend
    own = backend.launch if isinstance(backend, LaunchingBackend) else None
    try:
        launch.launch(run, components.recipe.ranks, quiet, own, components.plugins.lines)
    finally:
        run.facts = Run.open(run.folder).facts  # as rank 0 has written them
    return TrainedComponents(components, None, components.build())


def _train_here(run: Run, components: Components, quiet: bool, watcher: Watcher | None) -> TrainedComponents:
    """Train in this process; when memory runs out, resume from the last checkpoint with smaller micro-batches."""
    while True:
        try:
            return TrainedComponents(components, *train_rank(run, components, quiet=quiet, watcher=watcher))
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
        decision = smaller_micro_batches(components, components.build())
        components = components.with_values(decision.values).with_new_trainer()
        write_resolved(run.folder, components.recipe)
        run.log(decision.note)
        say(decision.note, quiet)


def load_best(run: Run, components: Components, model: nn.Module) -> nn.Module:
    """Load the best epoch's weights into a model, and move it and the transform to the CPU.

    Raises:
        Failed: there are no checkpoints.
    """
    saved = Checkpoints(run.folder / "checkpoints", components.recipe.loop.keep)
    best = saved.best() or saved.newest()[0]
    if best is None:
        raise Failed("The trainer wrote no checkpoint.", "It must call epoch_done, or train to its end.")
    model.load_state_dict(best["model"])
    return model
