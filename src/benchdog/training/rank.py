"""Training on one rank: its device, its data there, a session, the trainer."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from inspect import signature
from typing import Any

from torch import nn

from benchdog.api import CheckedTrainer, Trained, Trial, Watcher
from benchdog.data.loader import BatchLoader
from benchdog.data.other_batches import OtherBatches
from benchdog.errors import BadUsage, Failed, NotAvailable
from benchdog.model.layer_groups import stages
from benchdog.runs import checkpoints, fingerprints, provenance
from benchdog.runs.metrics_log import NotFinite
from benchdog.runs.run import Run
from benchdog.system import paths, terminal
from benchdog.system.allocator import keep_freed_memory
from benchdog.system.signals import Signals
from benchdog.training import other_models
from benchdog.training.diagnose_nan import Replay, diverged
from benchdog.training.progress import Progress, silent
from benchdog.training.session import Session
from benchdog.training.setup import Components, fitted


@contextmanager
def staged(
    run: Run, components: Components, rank: int = 0, world: int = 1, watcher: Watcher | None = None
) -> Iterator[dict[str, Any]]:
    """Open a rank's device, put the data there, fit transform and task; yield the arguments of a session."""
    recipe = components.recipe
    if recipe.trainer.options.get("compile") == "yes":  # compiled code is kept with the user's own files, not in /tmp
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(paths.cache_dir() / "compiled"))
    keep_freed_memory()
    device = components.backend.open(rank, world)
    try:
        if components.data.fits(recipe.loader.memory):
            read = ("train", "valid") if components.data.splits else ()
            for name in (*read, *components.other_splits):
                components.data.load(name)
        resuming = fitted(run.folder)
        components.fit(run.folder)
        if rank == 0:
            if resuming:
                provenance.same_samples(run, components.data)
            fingerprints.keep(run.folder, components.data)
        transform = components.transform.to(device.torch_device)
        prepare = components.prepare
        raw = ("train", "valid") if prepare else ("train",) if components.augment else ()
        components.data.to_device(transform, device, raw=(*raw, *(components.other_splits if raw else ())))
        models = {k: model.to(device.torch_device) for k, model in other_models.load(components).items()}
        feed = BatchLoader(components.data, recipe, transform, device, components.augment, prepare)
        with Signals() as signals:
            yield {
                "run": run,
                "recipe": recipe,
                "feed": feed,
                "others": OtherBatches(feed, components.other_splits, recipe.trainer.name),
                "models": models,
                "task": components.task,
                "spec": components.spec,
                "plugins": components.plugins,
                "facts": components.facts(run),
                "signals": signals,
                "watcher": watcher,
            }
    finally:
        device.close()


def train_rank(
    run: Run,
    components: Components,
    *,
    rank: int = 0,
    world: int = 1,
    quiet: bool = False,
    watcher: Watcher | None = None,
) -> tuple[Trained | None, nn.Module]:
    """Train on one rank; return what the trainer returned if that is not a module, and the session's model."""
    recipe = components.recipe
    with staged(run, components, rank, world, watcher) as arguments:
        model = components.build()
        session = Session(model=model, progress=Progress(recipe.loop.epochs, recipe.loop.batch, quiet), **arguments)
        try:
            trained = components.trainer.train(session)
            if isinstance(trained, nn.Module):
                session.result(trained)
            session.finish()
        except NotFinite as error:
            session.close()
            if not quiet:
                terminal.show(f"{error.what} at step {error.step}; replaying the steps to see why")
            kept = bool(checkpoints.Checkpoints(run.folder / "checkpoints", recipe.loop.keep).all())
            replay = None
            if world == 1:
                replay = Replay(watch=error.step, model=components.build(), progress=silent(), **arguments)
            how, plain = "", components
            if recipe.trainer.options.get("compile") == "yes":  # compiled code doesn't show its inner values
                how, plain = "Without compiling: ", components.with_values({"trainer.compile": "no"})
            trainer = plain.with_new_trainer().trainer
            raise diverged(error, trainer, replay, kept, session.epoch + 1, how) from None
        except RuntimeError as error:
            raise repeatable(error, recipe.backend.name) or error from None
        except ValueError as error:
            raise single_sample(error, recipe.model.name) or error from None
        finally:
            session.close()
    if isinstance(trained, nn.Module):
        return None, model
    if isinstance(trained, Trained):
        return trained, model
    raise BadUsage(
        f"Trainer {recipe.trainer.name!r} returned a {type(trained).__name__}.",
        "train(session) must return the module, or an object with runner, save and __call__.",
    )


def repeatable(error: RuntimeError, backend: str) -> NotAvailable | None:
    """Return an error that explains torch's refusal of a nondeterministic operation; None for other errors."""
    name, refused, _ = str(error).partition(" does not have a deterministic implementation")
    if not refused:
        return None
    return NotAvailable(
        f"The operation {name} isn't deterministic on {backend!r}, so the run couldn't be repeated.",
        "Set backend.deterministic = false, which the run's recipe keeps, or use --backend cpu.",
    )


def single_sample(error: ValueError, model: str) -> Failed | None:
    """Return an error that explains a batch of one sample, which only a stream can have; None for other errors."""
    if "more than 1 value per channel when training" not in str(error):
        return None
    return Failed(
        f"A batch had one sample, and {paths.short_name(model)!r} normalizes over its batch.",
        "The number of samples of a stream isn't known in advance: use another --batch-size, or no BatchNorm.",
    )


def check_trainer(components: Components, model: nn.Module) -> None:
    """Let the trainer check its options against the model before a run is made; the model isn't used afterwards."""
    trainer = components.trainer
    if not isinstance(trainer, CheckedTrainer):
        return
    trial = Trial(model=model, stages=stages(model), steps=components.steps.total, task=components.task)
    try:
        signature(trainer.check).bind(trial)
    except TypeError as error:
        raise BadUsage(
            f"Trainer {components.recipe.trainer.name!r}: its check can't be called as check(trial): {error}.",
            "The plugin author must implement check(self, trial); trial has model, stages, steps and task.",
        ) from None
    trainer.check(trial)
