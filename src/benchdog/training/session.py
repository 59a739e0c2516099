"""The session that a trainer works with, one per rank: position, batches, checkpoints, log, signals."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from benchdog.api import Batch, Device, RunFacts, Spec, Task, Watcher
from benchdog.data.dataset import Arrays
from benchdog.data.loader import BatchLoader
from benchdog.data.other_batches import Moment, OtherBatches
from benchdog.data.randomness import derive_seeds, reseeder
from benchdog.errors import BadUsage, Failed, Stopped
from benchdog.model.auxiliary_outputs import AuxiliaryLossTask
from benchdog.model.layer_groups import stages
from benchdog.plugins import Plugins, returned
from benchdog.recipe.recipe import Recipe
from benchdog.runs.document import RankChange
from benchdog.runs.metrics_log import MetricsLogWriter
from benchdog.runs.run import Run
from benchdog.system import paths
from benchdog.system.signals import Interrupted, Signals
from benchdog.training.checkpointer import Checkpointer
from benchdog.training.early_stopping import EarlyStopping
from benchdog.training.gather import merged
from benchdog.training.gradients import Gradients
from benchdog.training.progress import Progress

Read = TypeVar("Read")


SEEDS = 256
"""Seeds that are derived at a time."""


class Session:
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
        others: OtherBatches,
        models: Mapping[str, nn.Module],
        watcher: Watcher | None = None,
    ) -> None:
        self.run, self.recipe, self.feed, self.plugins, self.facts = run, recipe, feed, plugins, facts
        self.model, self.spec = model, spec
        self.task: Task = AuxiliaryLossTask(task)
        self.device: Device = feed.device
        self.transform = feed.transform
        self.seed = recipe.seed
        self.epoch = self.step = self._batch = 0
        self.steps_per_epoch, self.total_steps = feed.steps.per_epoch, feed.steps.total
        self.total_epochs = recipe.loop.epochs
        self._place: dict[str, Any] | None = None
        self._place_after: dict[str, Any] | None = None
        self._loop = recipe.loop
        self._best = EarlyStopping(task.monitor, task.better, recipe.loop.patience)
        self._ids: Any = ()
        self._others, self.models = others, models
        self._part, self._last = 0, True
        self._elapsed = 0.0
        self._begun = self._saved_at = time.perf_counter()
        self.signals = signals
        self._watcher = watcher if self.writes else None  # a rehearsal isn't watched
        self._gradients = Gradients(model, self.device, lambda: bool(signals.number))
        self._ranks: list[RankChange] = [{"step": 0, "ranks": self.device.world}]
        self._leader = self.device.rank == 0 and self.writes
        self._progress = progress
        self._checkpoints = Checkpointer(run, recipe, plugins, facts, self._leader)
        restored = self._checkpoints.restored
        if restored:
            self._restore(restored)
        folder = run.folder if self._leader else None
        self._log = MetricsLogWriter(folder, recipe.loop.log_every, self.device.torch_device, restored.get("log"))
        for name in self._log.lost():
            self._checkpoints.warn(f"the end of {name} was lost; the weights don't depend on it")
        self._record_ranks()

    def _restore(self, stored: Mapping[str, Any]) -> None:
        """Set the position, the weights and the best epoch to those of a checkpoint."""
        self.epoch, self.step, self._batch = stored["epoch"], stored["step"], stored["batch"]
        self._place, self._elapsed = stored["place"], stored["elapsed"]
        self._ranks = list(stored.get("ranks", self._ranks))
        self._best.load_state_dict(stored["best"])
        self.model.load_state_dict(stored["model"])

    def _record_ranks(self) -> None:
        """Record that the run resumes with another number of ranks."""
        world = self.device.world
        if self._ranks[-1]["ranks"] != world:
            self._ranks.append({"step": self.step, "ranks": world})
            self._log.line(kind="ranks", step=self.step, ranks=world)
        if self._leader and len(self._ranks) > 1:
            self.run.facts["ranks"] = self._ranks

    def track(self, **stateful: Any) -> None:
        """Name what a checkpoint needs besides the model; on a resume its state is loaded here."""
        for name, thing in stateful.items():
            self._checkpoints.track(name, thing)
        self._checkpoints.restore_device(self.device)

    def checkpoint(self) -> None:
        """Write a checkpoint; the loop continues meanwhile."""
        self._saved_at = time.perf_counter()
        if not self._leader:
            return
        self._log.check(self.step)
        position = {
            "epoch": self.epoch,
            "step": self.step,
            "batch": self._batch,
            "place": self._place,
            "best": self._best.state_dict(),
            "elapsed": self.seconds,
            "ranks": self._ranks,
            "log": self._log.state_dict(),
        }
        self._checkpoints.write(self.step, position, self.model, self.device)

    @property
    def seconds(self) -> float:
        """Seconds of training, those before a stop included."""
        return self._elapsed + time.perf_counter() - self._begun

    @property
    def stages(self) -> list[str]:
        """Names of the model's layer groups from the input up; the last is its head."""
        return stages(self.model)

    # --- what a trainer calls in its loop

    def epochs(self) -> Iterator[int]:
        """Yield the remaining epochs, from 0."""
        while self.epoch < self.recipe.loop.epochs and not self.should_stop:
            begun = self.epoch
            self._progress.epoch(begun, self._batch, self.steps_per_epoch)
            yield begun
            if self.epoch == begun:
                raise BadUsage(
                    f"Trainer {self.recipe.trainer.name!r} does not close epoch {begun + 1}, and would never end.",
                    "Call session.epoch_done(session.evaluate()) at the end of each epoch.",
                )

    def batches(self, split: str = "train", /) -> Iterator[Batch]:
        """Yield batches; a step's random numbers depend on the seed, the rank and the step alone."""
        if split != "train":
            yield from self._unless_stopped(self.feed.held_out(split))
            return
        first, seeds = True, self._seeds()
        reseed = reseeder(self.device.torch_device)
        for batch, place in self._unless_stopped(self.feed.train(self.epoch, self._batch, self._place)):
            if first:  # micro-batch of a step
                reseed(next(seeds))
            self._ids, self._place_after = batch.ids, place
            self._part, self._last = 0 if first else self._part + 1, batch.last
            yield batch
            first = batch.last

    def batch(self, name: str, size: int = 0, /, *, view: int = 0) -> Batch:
        """Return this step's batch of unlabeled samples or of a further source, or another view of the current one.

        Its part for the current micro-batch: the last one takes what is left.
        """
        moment = Moment(step=self.step, part=self._part, last=self._last, ids=self._ids)
        return self._others.batch(name, size or self.recipe.loop.batch, view, moment)

    def steps(self) -> Iterator[int]:
        """Yield the epoch's remaining steps, torch's generators seeded for each as in `batches`."""
        reseed = reseeder(self.device.torch_device)
        for seed in islice(self._seeds(), self._loop.steps_per_epoch - self._batch):
            reseed(seed)
            yield self.step

    def transformed(self, *inputs: np.ndarray) -> tuple[Tensor, ...]:
        """Return decoded inputs, (B, ...) per field, as the model gets them."""
        moved = (self.device.put(torch.from_numpy(np.ascontiguousarray(x))) for x in inputs)
        with torch.no_grad():
            transformed: tuple[Tensor, ...] = self.transform(*moved)
        return transformed

    def _seeds(self) -> Iterator[int]:
        """Yield the seeds of the steps from the current one on."""
        first = self.step
        while True:
            yield from derive_seeds(self.seed + (self.device.rank << 40), first, SEEDS)
            first += SEEDS

    def _unless_stopped(self, batches: Iterator[Read]) -> Iterator[Read]:
        """Yield batches; if a signal arrives while there is none, or killed the workers, stop as it demands."""
        try:
            yield from batches
        except (Interrupted, Failed):
            number = self.signals.number
            if not number:
                raise
            if not self._gradients.open and self.device.world == 1:
                self.checkpoint()
                self._stop()
            raise Stopped(  # a step is half done here or on other ranks: a checkpoint would be another run's
                f"Stopped while waiting for a batch, after step {self.step} (epoch {self.epoch + 1}).",
                f"Resume from the last checkpoint: benchdog train --resume {paths.short(self.run.folder)}",
                128 + number,
            ) from None

    def backward(self, loss: Tensor, weight: float | Tensor, batch: Batch, /) -> None:
        """Add the gradient of sum/weight over the whole batch: all micro-batches, all ranks."""
        self._gradients.backward(loss, weight, batch.last)

    def step_done(self, loss: Tensor, weight: float | Tensor, /) -> None:
        """Count a step: log, checkpoint, handle signals."""
        self._log.add(*self._gradients.total(loss, weight))
        self.step += 1
        self._batch += 1
        self._place = self._place_after
        self._part, self._last = 0, True
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
        """Return the task's metrics of the model, or another like it, on a split.

        Ranks share the samples, and each of them gets the metrics of all.
        """
        samples = self.feed.data.splits.get(split)
        if samples is not None and samples.spec.target.kind != self.feed.data.spec.target.kind:
            raise BadUsage(f"The samples {split!r} have no target to evaluate by.", 'Evaluate on "valid".')
        model = self.model if model is None else model
        training = model.training
        model.eval()
        name = self.recipe.task.name
        meter = returned.meter(self.task.meter(self.spec), name)
        for batch in self._unless_stopped(self.feed.held_out(split, self.device.rank, self.device.world)):
            with self.device.autocast():
                score = model(*batch.inputs)
            meter.add(score.float(), batch)
            if self._signal and self.device.world == 1:
                self.checkpoint()
                self._stop()
        model.train(training)
        return returned.metrics(merged(meter, self.task, self.spec, self.device).value(), self.task.monitor, name)

    def arrays(self, split: str, /) -> Arrays:
        """Return a whole split decoded, in its order, for trainers that need all of it at once."""
        inputs, target = self.feed.data.arrays(split)
        return self.feed.prepare.arrays(inputs, target, range(len(target)))

    def weights(self, split: str, /) -> np.ndarray | None:
        """Return the weights (N,) of a split's samples, in the order of `arrays`; None if they have none."""
        return self.feed.data.weights(split)

    def epoch_done(self, metrics: Mapping[str, Any], model: nn.Module | None = None, /) -> None:
        """End an epoch: log it, keep the best weights (the model's, or another's like it), stop early."""
        self._log_steps(partial=True)
        if metrics and self.task.monitor not in metrics:
            raise BadUsage(
                f"Task {self.recipe.task.name!r} chooses the best epoch by {self.task.monitor!r}, which is not among "
                f"the metrics: {', '.join(map(str, metrics))}.",
                "Its meter's value() must hold its monitor, and the trainer pass on what session.evaluate() returns.",
            )
        scalars = {f"valid.{k}": float(v) for k, v in metrics.items() if isinstance(v, int | float)}
        trained = self._log.epoch()
        if self._batch and not trained:
            raise BadUsage(
                f"The task {self.recipe.task.name!r}: the weight of its loss was 0 in every batch of epoch "
                f"{self.epoch + 1}, so nothing was learned.",
                "loss() returns the sum of a batch's losses, and its weight: the number of samples or terms.",
            )
        scalars = {**trained, **scalars}
        value, loss = (float(metrics.get(name, math.nan)) for name in (self.task.monitor, "loss"))
        better = self._best.update(self.epoch + 1, value, loss)
        if better:
            evaluated = self.model if model is None else model
            self._checkpoints.keep_best(evaluated.state_dict(), self._best.facts)
        self.epoch, self._batch = self.epoch + 1, 0
        self._place = self._place if self._loop.steps_per_epoch else None
        if self._leader:
            self._report_epoch(scalars, better)
        if self._watcher is not None:
            self._watcher.epoch_ended(self.epoch, scalars)
            if self._watcher.reason:
                self.run.log(f"to end after epoch {self.epoch}: {self._watcher.reason}")
        loop = self._loop
        if self._signal or (loop.checkpoint_epochs and self.epoch % loop.checkpoint_epochs == 0):
            self.checkpoint()
        if self._signal:
            self._stop()

    def _report_epoch(self, scalars: dict[str, float], better: bool) -> None:
        line = {"epoch": self.epoch, "step": self.step, **scalars, "time": round(self.seconds, 3)}
        self._log.line(kind="epoch", **line)
        self.run.facts.update({"epochs_done": self.epoch, "steps_done": self.step, "best": self._best.facts})
        shown = ("train.loss", "valid.loss", f"valid.{self.task.monitor}")
        self._progress.epoch_done(self.epoch, {k: v for k, v in scalars.items() if k in shown}, better)
        self.plugins.emit("benchdog_epoch_ended", run=self.facts, epoch=self.epoch, metrics=scalars, line=line)

    @property
    def _signal(self) -> int:
        """The signal that ends the run; on several ranks only once all know of it, at the same step."""
        if self.device.world == 1:
            return self.signals.number
        return (self.signals.number or int(signal.SIGTERM)) if self._gradients.agreed else 0

    @property
    def should_stop(self) -> bool:
        """Whether the run is to end before its last epoch."""
        return self._best.enough or bool(self._watcher is not None and self._watcher.reason)

    def _log_steps(self, partial: bool = False) -> None:
        """Log the steps since the last line as one mean loss."""
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
        """Return the learning rate of a tracked optimizer."""
        tracked = self._checkpoints.tracked
        groups = getattr(tracked.get("optimizer", tracked.get("optimiser")), "param_groups", None)
        return {"lr": float(max(group["lr"] for group in groups))} if groups else {}

    def _stop(self) -> None:
        code = 130 if self._signal == signal.SIGINT else 143
        raise Stopped(
            f"Stopped at step {self.step} (epoch {self.epoch + 1}); a checkpoint was written.",
            f"Resume with: benchdog train --resume {paths.short(self.run.folder)}",
            code,
        )

    def result(self, module: nn.Module) -> None:
        """Take the module that the trainer returned: the session's model (of its best epoch), or one of its own.

        Raises:
            BadUsage: it has other weights than the model that the recipe names.
        """
        own = {id(parameter) for parameter in self.model.parameters()}
        if any(id(parameter) in own for parameter in module.parameters()):
            return
        weights = module.state_dict()
        if {k: v.shape for k, v in weights.items()} != {k: v.shape for k, v in self.model.state_dict().items()}:
            raise BadUsage(
                f"Trainer {self.recipe.trainer.name!r} returned a {type(module).__name__} with other weights than "
                f"{self.recipe.model.name!r}.",
                "train(session) must return session.model, or a module with the same layers.",
            )
        self._checkpoints.keep_best(weights, self._best.facts)

    def finish(self) -> None:
        """Log the last steps and write the last checkpoint; `close` waits until it is on disk."""
        self._log_steps(partial=True)
        self.checkpoint()

    def close(self) -> None:
        """Wait for the checkpoints, close log and progress."""
        self._checkpoints.wait()
        self._log.close()
        self._progress.close()
        self.run.facts["seconds"] = round(self.seconds, 3)
        if self._leader and self.device.world > 1:
            self.run.save()  # for the process that launched the ranks
