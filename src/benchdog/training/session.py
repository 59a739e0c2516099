"""What a trainer works with: the run's position, batches, checkpoints, log, signals. One per rank."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from benchdog.api import Batch, Device, RunFacts, Spec, Task, Watcher
from benchdog.data.dataset import Arrays
from benchdog.data.loader import BatchLoader
from benchdog.data.randomness import derive_seeds, reseeder
from benchdog.errors import BadUsage, Stopped
from benchdog.model.auxiliary_outputs import AuxiliaryLossTask
from benchdog.model.layer_groups import stages
from benchdog.plugins import Plugins
from benchdog.recipe.recipe import Recipe
from benchdog.runs.checkpoints import Checkpoints
from benchdog.runs.metrics_log import MetricsLogWriter
from benchdog.runs.run import Run
from benchdog.runs.state import snapshot
from benchdog.system import paths
from benchdog.system.signals import Signals
from benchdog.training.early_stopping import EarlyStopping
from benchdog.training.gather import merged
from benchdog.training.gradients import Gradients
from benchdog.training.progress import Progress
from benchdog.training.standing import Standing

Read = TypeVar("Read")


SEEDS = 256
"""Seeds that are made at a time."""


class Session(Standing):
    """See benchdog.api.Session; the position of a run is (epoch, batch within it, step)."""

    writes = True

    def __init__(
        self,
        *,
        run: Run,
        recipe: Recipe,
        feed: BatchLoader,
        model: nn.Module,
        task: Task,
        spec: Spec,
        plugins: Plugins,
        facts: RunFacts,
        progress: Progress,
        signals: Signals,
        watcher: Watcher | None = None,
    ) -> None:
        self.run, self.recipe, self.feed, self.plugins, self.facts = run, recipe, feed, plugins, facts
        self.model, self.spec = model, spec
        self.task: Task = AuxiliaryLossTask(task)
        self.device: Device = feed.device
        self.transform = feed.transform
        self.seed = recipe.seed
        self.epoch = self.step = self._batch = 0
        self.steps_per_epoch = feed.steps_per_epoch()
        self.total_epochs = recipe.loop.epochs
        self.total_steps = None if self.steps_per_epoch is None else self.steps_per_epoch * recipe.loop.epochs
        self._place: dict[str, Any] | None = None
        self._place_after: dict[str, Any] | None = None
        self._loop = recipe.loop
        self._tracked: dict[str, Any] = {}
        self._best = EarlyStopping(task.monitor, task.better, recipe.loop.patience)
        self._best_model: Any = None
        self._ids: Any = ()
        self._elapsed = 0.0
        self._begun = self._saved_at = time.perf_counter()
        self.signals = signals
        self._watcher = watcher if self.writes else None  # a rehearsal is nobody's run
        self._gradients = Gradients(model, self.device, lambda: bool(signals.number))
        self._ranks = [{"step": 0, "ranks": self.device.world}]
        self._leader = self.device.rank == 0 and self.writes
        self._progress = progress
        self._checkpoints = Checkpoints(run.folder / "checkpoints", recipe.loop.keep)
        self._restored = self._restore()
        folder = run.folder if self._leader else None
        log_every, stored = recipe.loop.log_every, self._restored.get("log")
        self._log = MetricsLogWriter(folder, log_every, self.device.torch_device, stored)
        for name in self._log.lost():
            self._tell(f"the end of {name} was lost; the weights don't depend on it")
        self._note_ranks()

    @property
    def stages(self) -> list[str]:
        """Name the model's parts from the input up; the last is its head."""
        return stages(self.model)

    # --- the loop's verbs

    def epochs(self) -> Iterator[int]:
        """Yield the epochs that are left."""
        while self.epoch < self.recipe.loop.epochs and not self.should_stop:
            self._progress.epoch(self.epoch, self._batch, self.steps_per_epoch)
            yield self.epoch

    def batches(self, split: str = "train", /) -> Iterator[Batch]:
        """Yield batches; a step's random numbers depend on the seed and the step alone."""
        if split != "train":
            yield from self._unless_stopped(self.feed.held_out(split))
            return
        fresh, seeds = True, self._seeds()
        reseed = reseeder(self.device.torch_device)
        for batch, place in self._unless_stopped(self.feed.train(self.epoch, self._batch, self._place)):
            if fresh:
                reseed(next(seeds))
            self._ids, self._place_after = batch.ids, place
            yield batch
            fresh = batch.last

    def _seeds(self) -> Iterator[int]:
        """Yield the seeds of the steps from here on; each depends on the run's seed, the rank and the step."""
        first = self.step
        while True:
            yield from derive_seeds(self.seed + (self.device.rank << 40), first, SEEDS)
            first += SEEDS

    def _unless_stopped(self, batches: Iterator[Read]) -> Iterator[Read]:
        """Yield batches; when workers died of a signal to the whole group, end as that signal wants."""
        try:
            yield from batches
        except RuntimeError:
            if not self._signal or self._gradients.open or self.device.world > 1:
                raise
            self.checkpoint()
            self._stop()

    def backward(self, loss: Tensor, weight: float | Tensor, batch: Batch, /) -> None:
        """Add the gradient of sum/weight over the whole batch: all pieces, all ranks."""
        self._gradients.backward(loss, weight, batch.last)

    def step_done(self, loss: Tensor, weight: float | Tensor, /) -> None:
        """Count a step: log, checkpoint, notice signals."""
        self._log.add(*self._gradients.total(loss, weight))
        self.step += 1
        self._batch += 1
        self._place = self._place_after
        loop, now, stop = self._loop, time.perf_counter(), self._signal
        if self.step % loop.log_every == 0:
            self._log_steps()
        self._progress.step(self._batch, now)
        due = loop.checkpoint_steps and self.step % loop.checkpoint_steps == 0
        if due or stop or now - self._saved_at > loop.checkpoint_seconds:
            self.checkpoint()
        if stop:
            self._stop()

    @torch.inference_mode()
    def evaluate(self, split: str = "valid", model: nn.Module | None = None, /) -> dict[str, Any]:
        """Run the model, or another like it, over a split without gradients and give the task's metrics.

        Ranks share the samples out, and each of them learns the metrics of all.
        """
        model = self.model if model is None else model
        training = model.training
        model.eval()
        meter = self.task.meter(self.spec)
        for batch in self._unless_stopped(self.feed.held_out(split, self.device.rank, self.device.world)):
            with self.device.autocast():
                score = model(*batch.inputs)
            meter.add(score.float(), batch)
            if self._signal and self.device.world == 1:
                self.checkpoint()
                self._stop()
        model.train(training)
        return merged(meter, self.task, self.spec, self.device).value()

    def arrays(self, split: str, /) -> Arrays:
        """Give a whole split decoded, in its order, for trainers that need all of it at once."""
        return self.feed.data.arrays(split)

    def weights(self, split: str, /) -> np.ndarray | None:
        """Give the weights of a split's samples, in the order of `arrays`; None when they have none."""
        return self.feed.data.weights(split)

    def epoch_done(self, metrics: Mapping[str, Any], model: nn.Module | None = None, /) -> None:
        """Close an epoch: log it, keep the best weights (the model's, or another's like it), stop early."""
        self._log_steps(partial=True)
        scalars = {f"valid.{k}": float(v) for k, v in metrics.items() if isinstance(v, int | float)}
        scalars = {**self._log.epoch(), **scalars}
        better = self._best.judge(self.epoch + 1, float(metrics.get(self.task.monitor, math.nan)))
        if better:
            judged = self.model if model is None else model
            self._best_model = snapshot({"model": judged.state_dict(), "best": self._best.facts})
        self.epoch, self._batch, self._place = self.epoch + 1, 0, None
        if self._leader:
            self._tell_epoch(scalars, better)
        if self._watcher is not None:
            self._watcher.epoch_ended(self.epoch, scalars)
            if self._watcher.reason:
                self.run.log(f"to end after epoch {self.epoch}: {self._watcher.reason}")
        loop = self._loop
        if self._signal or (loop.checkpoint_epochs and self.epoch % loop.checkpoint_epochs == 0):
            self.checkpoint()
        if self._signal:
            self._stop()

    def _tell_epoch(self, scalars: dict[str, float], better: bool) -> None:
        line = {"epoch": self.epoch, "step": self.step, **scalars, "time": round(self.seconds, 3)}
        self._log.line(kind="epoch", **line)
        self.run.facts.update(epochs_done=self.epoch, steps_done=self.step, best=self._best.facts)
        shown = ("train.loss", "valid.loss", f"valid.{self.task.monitor}")
        self._progress.epoch_done(self.epoch, {k: v for k, v in scalars.items() if k in shown}, better)
        self.plugins.emit("benchdog_epoch_ended", run=self.facts, epoch=self.epoch, metrics=scalars, line=line)

    @property
    def _signal(self) -> int:
        """The signal that ends the run: on several ranks only once all have heard of it, at the same step."""
        if self.device.world == 1:
            return self.signals.number
        return (self.signals.number or int(signal.SIGTERM)) if self._gradients.agreed else 0

    @property
    def should_stop(self) -> bool:
        """Whether the run is to end before its last epoch."""
        return self._best.enough or bool(self._watcher is not None and self._watcher.reason)

    # --- inner parts

    def _log_steps(self, partial: bool = False) -> None:
        """Write down the steps since the last line as one mean loss."""
        mean = self._log.take(self.step)
        if mean is None:
            return
        self._progress.loss(mean)
        if self._leader and not partial:
            line = {"step": self.step, "epoch": self.epoch + 1, "loss": mean, **self._rate()}
            line["time"] = round(self.seconds, 3)
            self._log.line(kind="step", **line)
            self.plugins.emit("benchdog_step_ended", run=self.facts, step=self.step, loss=mean, line=line)

    def _rate(self) -> dict[str, float]:
        """Give the learning rate of a tracked optimiser."""
        groups = getattr(self._tracked.get("optimizer", self._tracked.get("optimiser")), "param_groups", None)
        return {"lr": float(max(group["lr"] for group in groups))} if groups else {}

    def _stop(self) -> None:
        code = 130 if self._signal == signal.SIGINT else 143
        raise Stopped(
            f"Stopped at step {self.step} (epoch {self.epoch + 1}); a checkpoint is written.",
            f"Go on with: benchdog train --resume {paths.short(self.run.folder)}",
            code,
        )

    def result(self, module: nn.Module) -> None:
        """Take what the trainer returned: the session's model (then the best epoch counts), or a module of its own.

        Raises:
            BadUsage: it has other weights than the model that the recipe names.
        """
        mine = {id(parameter) for parameter in self.model.parameters()}
        if any(id(parameter) in mine for parameter in module.parameters()):
            return
        given = module.state_dict()
        if {k: v.shape for k, v in given.items()} != {k: v.shape for k, v in self.model.state_dict().items()}:
            raise BadUsage(
                f"Trainer {self.recipe.trainer.name!r} returned a {type(module).__name__} with other weights than "
                f"{self.recipe.model.name!r}.",
                "train(session) returns session.model, or a module of the same layers.",
            )
        self._best_model = snapshot({"model": given, "best": self._best.facts})

    def finish(self) -> None:
        """Log the last steps and write the last checkpoint; `close` waits until it lies on the disk."""
        self._log_steps(partial=True)
        self.checkpoint()

    def close(self) -> None:
        """Wait for the disk and let the log go."""
        self._checkpoints.wait()
        self._log.close()
        self._progress.close()
        self.run.facts["seconds"] = round(self.seconds, 3)
        if self._leader and self.device.world > 1:
            self.run.save()  # for the process that started the ranks
