"""Protocols of components: augmentation, task, backend, session, trainer, exporter, runner."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, runtime_checkable

from benchdog.api.data import ArrayValue, Batch, Op, Preprocess, Spec

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn


class Draws(Protocol):
    """Random numbers for a batch: row b depends on sample b, not on the batch. Each call draws new ones."""

    def uniform(self, *shape: int) -> Tensor:
        """Return samples of the uniform distribution on [0, 1): (B, *shape) float32, on the batch's device."""
        ...

    def normal(self, *shape: int) -> Tensor:
        """Return samples of the standard normal distribution: (B, *shape) float32, on the batch's device."""
        ...


class Augmentation(Protocol):
    """Random changes of training batches; called as `Target(options)`."""

    def check(self, spec: Spec, /) -> None:
        """Raise BadUsage if the data doesn't suit. Called once, before `apply`."""
        ...

    def apply(self, inputs: tuple[Tensor, ...], target: Tensor, draws: Draws, /) -> tuple[tuple[Tensor, ...], Tensor]:
        """Return an augmented batch, in new tensors of the same shapes and types.

        Args:
            inputs: (B, ...) per field, as decoded, in storage types, on the batch's device.
            target: (B, ...). What moves an image must move its mask and its boxes; rows of padding
                (`Target.real_rows`) stay padding. Class codes (B,) may become one-hot rows that are blended,
                (B, classes).
            draws: the only source of randomness to use.
        """
        ...


class Meter(Protocol):
    """Accumulated metrics over batches; partial results of several ranks are merged through `state`."""

    def add(self, score: Tensor, batch: Batch, /) -> None:
        """Add a batch, its scores (B, ...)."""
        ...

    def state(self) -> dict[str, Tensor]:
        """Return what `merge` of another meter takes: sums and counts."""
        ...

    def merge(self, state: Mapping[str, Tensor], /) -> None:
        """Add the batches of another meter, which returned `state`."""
        ...

    def value(self) -> dict[str, Any]:
        """Return the metrics by name; numbers get confidence intervals, and `monitor` is one of them."""
        ...


class Task(Protocol):
    """What a model is trained for: head, loss, metrics; called as `Target(options)`.

    A model returns a score (B, ...) (logits, say); the head turns it into the prediction (probabilities).
    Optional members: `FittedTask`, `CollatingTask`, `SampleLossTask`, `InvertibleHeadTask`, `BaselineTask`,
    `PreparedTask`, `TaskDefaults`.

    Attributes:
        monitor: the validation metric by which the best epoch is chosen.
        better: "max" or "min".
    """

    monitor: str
    better: str

    def check(self, spec: Spec, /) -> None:
        """Raise BadUsage if the target doesn't suit. Called before all else."""
        ...

    def output(self, spec: Spec, /) -> tuple[int | None, ...]:
        """Return the shape of the score that a model must return, per sample; None for an axis of variable length."""
        ...

    def head(self, spec: Spec, /) -> nn.Module:
        """Return the module from scores (B, ...) to predictions (B, ...); it is part of every exported graph."""
        ...

    def loss(self, score: Tensor, batch: Batch, /) -> tuple[Tensor, float | Tensor]:
        """Return the sum of the batch's losses, a scalar, and its weight: the number of samples or terms.

        The trainer divides by the weight of the whole batch, over all micro-batches and ranks, so both give the same
        gradients as a single batch. The weight has no gradient.
        """
        ...

    def meter(self, spec: Spec, /) -> Meter:
        """Return a new, empty meter."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Probe:
    """Whether a backend works on this machine.

    Attributes:
        available: whether it does.
        why: what is missing, or the name of the hardware.
        devices: how many there are.
        precisions: what `precision` in a recipe may be.
    """

    available: bool
    why: str
    devices: int = 0
    precisions: tuple[str, ...] = ("fp32",)


class Device(Protocol):
    """The hardware of one rank."""

    torch_device: Any
    rank: int
    world: int

    def prepare(self, model: nn.Module, /) -> nn.Module:
        """Return the model on the device, ready for training."""
        ...

    def put(self, tensor: Tensor, /) -> Tensor:
        """Return the tensor on the device."""
        ...

    def autocast(self) -> AbstractContextManager[Any]:
        """Return the context for forward passes and losses: mixed precision, if the options ask for it."""
        ...

    def backward(self, loss: Tensor, scale: Tensor, /) -> None:
        """Add the gradients of loss x scale; a backend with a gradient scaler applies it, too."""
        ...

    def step(self, optimizer: Any, limit: Callable[[], Any] | None = None, /) -> None:
        """Step the optimizer. `limit`, gradient clipping say, is called before, on unscaled gradients."""
        ...

    def sum_(self, tensor: Tensor, /) -> Tensor:
        """Sum a tensor over all ranks, in place (all-reduce)."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint must hold, such as the state of a gradient scaler."""
        ...

    def load_state_dict(self, state: dict[str, Any], /) -> None:
        """Restore what `state_dict` returned."""
        ...

    def close(self) -> None:
        """Release the hardware; leave the process group."""
        ...


class Backend(Protocol):
    """Hardware to train on; called as `Target(options)`. Optional members: `LaunchingBackend`."""

    def probe(self) -> Probe:
        """Return whether the hardware can be used, and its name or what is missing."""
        ...

    def open(self, rank: int, world: int, /) -> Device:
        """Open the device of one rank (from 0) of `world`, and join the process group."""
        ...


class Session(Protocol):
    """A training session, as a trainer sees it: data, progress, metrics. Checkpoints, resume and signals are its.

    Attributes:
        model: the model; `device.prepare` moves it to the device.
        task: its `loss` also takes a dict with auxiliary scores, where the model returns one.
        spec: of the batches, after the transform.
        device: the hardware of this rank.
        epoch: index of the current epoch, from 0.
        step: optimizer steps done.
        seed: of the run.
        total_epochs: the most epochs.
        total_steps: the most steps; None for a stream of unknown length.
        models: the trained models of the recipe's tables [models.NAME], by name: networks from a batch's inputs to
            the score, on the device, in evaluation mode, their weights frozen.
    """

    model: nn.Module
    task: Task
    spec: Spec
    device: Device
    epoch: int
    step: int
    seed: int
    total_epochs: int
    total_steps: int | None
    models: Mapping[str, nn.Module]

    @property
    def stages(self) -> Sequence[str]:
        """Names of the model's layer groups with parameters, from the input up; the last is the head."""
        ...

    def track(self, **stateful: Any) -> None:
        """Add objects with state_dict() and load_state_dict() to every checkpoint; a resumed run restores them here.

        Name the optimizer `optimizer`: its learning rate is logged, and `find-lr` sets it.
        """
        ...

    def epochs(self) -> Iterator[int]:
        """Yield the epochs that remain, until the last one or until `should_stop`."""
        ...

    def batches(self, split: str = "train", /) -> Iterator[Batch]:
        """Yield a split's micro-batches, transformed, on the device; "train" starts where a resumed run was."""
        ...

    def batch(self, name: str, size: int = 0, /, *, view: int = 0) -> Batch:
        """Return this step's batch of other samples, decoded, augmented and transformed like training samples.

        It depends on the seed and the step alone, so nothing of it is to be saved: each pass shuffles the samples,
        and the next step goes on where this one ends. With gradient accumulation or several ranks it is the part
        that belongs to the current micro-batch.

        Args:
            name: "unlabeled", or the NAME of a table [sources.NAME]; or "train": the samples of the current
                micro-batch, augmented by other random numbers, as a contrastive loss needs them.
            size: samples of a whole batch; 0 for `loop.batch_size`. "train" has that of the loop's batch.
            view: number of the view: another one is the same samples, augmented by other random numbers.

        Returns:
            Its target is (B, 0), thus empty, for "unlabeled" and where the other source has other targets than the
            main one.

        Raises:
            BadUsage: the trainer doesn't declare `name` (`TrainerDefaults`), or there are no such samples.
        """
        ...

    def steps(self) -> Iterator[int]:
        """Yield the epoch's steps that remain, counted as `step`; for a trainer that brings its own data.

        There are `loop.steps_per_epoch` of them, each ends with `step_done`. Before each, torch's generators are
        seeded from seed, rank and step: what else is random, derive from (seed, step), and a resume is exact.
        """
        ...

    def transformed(self, *inputs: np.ndarray) -> tuple[Tensor, ...]:
        """Return decoded inputs, (B, ...) per field, as the model gets them: transformed, on the device."""
        ...

    def backward(self, loss: Tensor, weight: float | Tensor, batch: Batch, /) -> None:
        """Add the gradients of a micro-batch's loss, divided by the weight of the whole batch over all ranks."""
        ...

    def step_done(self, loss: Tensor, weight: float | Tensor, /) -> None:
        """Count a step: log the loss (a sum) per weight, write a checkpoint if it is due, handle signals.

        Raises:
            Stopped: after Ctrl-C or SIGTERM, when the checkpoint is written. Let it pass.
        """
        ...

    def arrays(self, split: str, /) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
        """Return a whole split, decoded, in its order: inputs (N, ...) per field, target (N, ...)."""
        ...

    def weights(self, split: str, /) -> np.ndarray | None:
        """Return the sample weights of a split, (N,) in the order of `arrays`; None if it has none."""
        ...

    def evaluate(self, split: str = "valid", model: nn.Module | None = None, /) -> dict[str, Any]:
        """Return the task's metrics on a split, without gradients; `model` replaces the session's, an average say."""
        ...

    def epoch_done(self, metrics: Mapping[str, Any], model: nn.Module | None = None, /) -> None:
        """Close an epoch: log its metrics, keep the best weights (`model`'s if given), check early stopping."""
        ...

    @property
    def should_stop(self) -> bool:
        """Whether to end before the last epoch: early stopping, a pruned trial."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """A planned run, for a trainer to check its options against.

    Attributes:
        model: the built model; it isn't used afterwards.
        stages: its layer groups (see `Session.stages`).
        steps: number of steps; None for a stream of unknown length.
        task: the task.
    """

    model: nn.Module
    stages: Sequence[str]
    steps: int | None
    task: Task


class Watcher(Protocol):
    """A callback of the caller (`pipeline.train(..., watcher=...)`) that may end a run early: `tune` prunes by it.

    Not a component of plugins. It is called in the training loop's thread, of the only rank. A run that it ends is
    complete: the best epoch counts, model and report are written.
    """

    reason: str
    """Why the run is to end before the last epoch; "" to continue."""

    def epoch_ended(self, epoch: int, metrics: Mapping[str, float], /) -> None:
        """Receive an epoch, numbered from 1, and its scalar metrics by name ("valid.accuracy")."""
        ...


class Trainer(Protocol):
    """A training loop; called as `Target(options)`. Optional members: `CheckedTrainer`, `TrainerDefaults`."""

    def train(self, session: Session, /) -> nn.Module | Trained:
        """Train until `session.epochs()` ends; return the trained module, or a `Trained`."""
        ...


@runtime_checkable
class Trained(Protocol):
    """A trained model that is not a torch module, such as an estimator of another library.

    Attributes:
        runner: what loads it, "package.module:attribute"; its trainer's descriptor must name the same.
    """

    runner: str

    def save(self, folder: Path, /) -> None:
        """Write it into an empty folder, as data: loading must not run code from there."""
        ...

    def __call__(self, *inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return predictions and scores, (B, ...) each, for decoded inputs (B, ...)."""
        ...


class Pretrained(Protocol):
    """A model with published weights; called as `Target(options)`, or `Target()` for a model without options.

    Optional members: `PretrainedDefaults`. `weights` and `spec` raise NotAvailable if a package is missing.

    Attributes:
        task: the task that it predicts for; "" for weights that are only there to be fine-tuned.
        rename: (regular expression, replacement) pairs that turn the file's parameter names into the model's.
        transform: the operations that its inputs were transformed with.
    """

    task: str
    rename: Sequence[tuple[str, str]]
    transform: Sequence[Op]

    def weights(self) -> Path:
        """Return the path of a .safetensors, .pth or .pt file."""
        ...

    def preprocess(self) -> Preprocess:
        """Return the preprocessing of its inputs."""
        ...

    def spec(self) -> Spec:
        """Return what it was trained on, with class names."""
        ...


class Runner(Protocol):
    """What executes an export; called as `Target(folder)`. Optional members: `RunnerDefaults`."""

    def __call__(self, *inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return predictions and scores, (B, ...) each, for decoded inputs (B, ...)."""
        ...


class ArtifactView(Protocol):
    """A trained model, as exporters see it.

    Attributes:
        folder: the artifact's folder.
        spec: of the decoded inputs.
        max_batch: the largest batch that the export must run.
    """

    folder: Path
    spec: Spec
    max_batch: int

    def module(self) -> nn.Module:
        """Return the module from decoded inputs (B, ...) to (prediction, score): transform, model and head."""
        ...

    def program(self) -> Any:
        """Return the module as a `torch.export.ExportedProgram`; batch and variable axes are dynamic.

        Raises:
            Failed: torch.export can't capture the model.
        """
        ...

    def example(self, n: int, /) -> tuple[Tensor, ...]:
        """Return n decoded samples, (n, ...) per field."""
        ...


class Exporter(Protocol):
    """A writer of another model format; called as `Target(options)`."""

    def export(self, artifact: ArtifactView, folder: Path, /) -> None:
        """Write the export's files into an empty folder. It is then loaded and compared with the model."""
        ...


class Writer(Protocol):
    """Makes files of a kind of value, such as images; called as `Target(options)`, in a module without torch."""

    def write(self, value: ArrayValue, file: BinaryIO, /) -> None:
        """Write one value; the same bytes each time.

        Raises:
            BadUsage: its format can't hold this array; it is then written as .npy, and the user reads why.
        """
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class RunFacts:
    """The run that an event belongs to."""

    name: str
    folder: str
    source: str
    model: str
    task: str
    epochs: int


Call = Callable[..., "tuple[np.ndarray, np.ndarray]"]
"""Decoded inputs (B, ...) to (predictions, scores): a runner, as predict functions get it."""
