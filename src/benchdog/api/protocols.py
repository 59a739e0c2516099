"""What the parts of a run look like to each other: task, hardware, session, trainer, exporter, runner."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from benchdog.api.data import Batch, Op, Preprocess, Spec

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn


class Draws(Protocol):
    """A batch's random numbers: row b belongs to sample b, whatever the batch. Each call gives fresh ones."""

    def uniform(self, *shape: int) -> Tensor:
        """Draw from [0, 1): (B, *shape) float32 on the batch's device."""
        ...

    def normal(self, *shape: int) -> Tensor:
        """Draw from the standard normal distribution: (B, *shape) float32."""
        ...


class Augmentation(Protocol):
    """Changes training batches at random; made as `Target(options)`.

    `check` raises BadUsage when the spec doesn't fit, and is called once, first. `apply` gets a batch on its device
    as it was decoded, in storage types, and gives new tensors of the same shapes and types (a target may become
    a mix of one-hot rows); what moves a picture moves its mask. It must not change what it gets.
    """

    def check(self, spec: Spec, /) -> None: ...

    def apply(
        self, inputs: tuple[Tensor, ...], target: Tensor, draws: Draws, /
    ) -> tuple[tuple[Tensor, ...], Tensor]: ...


class Meter(Protocol):
    """Adds up what the metrics need; two meters merge through their state."""

    def add(self, score: Tensor, batch: Batch, /) -> None: ...

    def state(self) -> dict[str, Tensor]: ...

    def merge(self, state: Mapping[str, Tensor], /) -> None: ...

    def value(self) -> dict[str, Any]: ...


class Task(Protocol):
    """What is learnt; made as `Target(options)`.

    `monitor` is the validation metric that chooses the best epoch, `better` is "max" or "min".
    `check` raises BadUsage when the spec doesn't fit. `output` is the shape of the score that a model
    must give per sample. `head` maps the score (B, ...) to the answer, inside the graph. `loss` gives
    the sum over the batch and its weight (a number, or a tensor without gradient).

    May also have `fit(targets)`, called once with the training split's targets piece by piece before the
    first step, and then `state() -> dict` and `restore(state)` in JSON form, which keep what was learnt; and

    - `weighs`, true when `loss` honours `batch.weight`: it gives the sum of weight x loss, and of weight x what
      counts; without it, data with weights is refused, as it is where `adds_up` is false;
    - `adds_up`, false when the loss of a batch isn't the sum of its pieces' losses: batches are then not cut;
    - `ignore`, a code in masks, or among tokens to guess, that is no class and is allowed all the same;
    - `notes`, sentences that a person is told;
    - `losses(score, batch) -> (B,)`, each sample's loss where it depends on the others beside it;
    - `score_of(probabilities)`, the score (B, ...) of which the head makes these (B, classes), for the baselines;
    - `baselines(inputs) -> {name: function}` in place of Benchdog's: each gives scores for arrays like `inputs`.
    """

    monitor: str
    better: str

    def check(self, spec: Spec, /) -> None: ...

    def output(self, spec: Spec, /) -> tuple[int | None, ...]: ...

    def head(self, spec: Spec, /) -> nn.Module: ...

    def loss(self, score: Tensor, batch: Batch, /) -> tuple[Tensor, float | Tensor]: ...

    def meter(self, spec: Spec, /) -> Meter: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Probe:
    """What a backend found: `why` says what is missing, or names the hardware."""

    available: bool
    why: str
    devices: int = 0
    precisions: tuple[str, ...] = ("fp32",)


class Device(Protocol):
    """One rank's hardware. `sum_` adds a tensor over the ranks in place."""

    torch_device: Any
    rank: int
    world: int

    def prepare(self, model: nn.Module, /) -> nn.Module: ...

    def put(self, tensor: Tensor, /) -> Tensor: ...

    def autocast(self) -> AbstractContextManager[Any]: ...

    def backward(self, loss: Tensor, scale: Tensor, /) -> None: ...

    def step(self, optimiser: Any, limit: Callable[[], Any] | None = None, /) -> None:
        """Let the optimiser step; `limit` is called before, when the gradients have their true size."""
        ...

    def sum_(self, tensor: Tensor, /) -> Tensor: ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any], /) -> None: ...

    def close(self) -> None: ...


class Backend(Protocol):
    """Hardware; made as `Target(options)`.

    May also have `launch(argv, world) -> int`, which starts the ranks and waits; the host starts
    processes on this machine for one that doesn't.
    """

    def probe(self) -> Probe: ...

    def open(self, rank: int, world: int, /) -> Device: ...


class Session(Protocol):
    """What a trainer works with. Checkpoints, exact resume, events and signals come with it."""

    model: nn.Module
    task: Task
    spec: Spec
    device: Device
    epoch: int
    step: int
    seed: int
    total_epochs: int
    total_steps: int | None

    @property
    def stages(self) -> Sequence[str]:
        """Names of the model's parts that have parameters, from the input up; the last is its head."""
        ...

    def track(self, **stateful: Any) -> None:
        """Name what a resume needs (state_dict/load_state_dict); on a resume it is restored here."""
        ...

    def epochs(self) -> Iterator[int]:
        """Yield the epochs that are left, until the last or until `should_stop`."""
        ...

    def batches(self, split: str = "train", /) -> Iterator[Batch]:
        """Yield batches on the device, transformed; train goes on where a stopped run was."""
        ...

    def backward(self, loss: Tensor, weight: float | Tensor, batch: Batch, /) -> None:
        """Add the gradient of sum/weight, the weight taken over the whole batch of all ranks."""
        ...

    def step_done(self, loss: Tensor, weight: float | Tensor, /) -> None:
        """Count a step: log, checkpoint, notice signals."""
        ...

    def arrays(self, split: str, /) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
        """Give a whole split decoded, in its order: inputs each (N, ...), target (N, ...)."""
        ...

    def weights(self, split: str, /) -> np.ndarray | None:
        """Give the weights (N,) of a split's samples, in the order of `arrays`; None when they have none."""
        ...

    def evaluate(self, split: str = "valid", model: nn.Module | None = None, /) -> dict[str, Any]:
        """Run the model, or another like it, over a split without gradients and give the task's metrics."""
        ...

    def epoch_done(self, metrics: Mapping[str, Any], model: nn.Module | None = None, /) -> None:
        """Close an epoch: log its metrics, keep the best weights (of `model` if given), stop early."""
        ...

    @property
    def should_stop(self) -> bool: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """What a run would be, before it is made.

    `stages` are the model's parts (see `Session.stages`), `steps` how many there will be, None for a stream. The
    model isn't used afterwards.
    """

    model: nn.Module
    stages: Sequence[str]
    steps: int | None
    task: Task


class Watcher(Protocol):
    """Looks at a run's epochs while it goes on, and may end it early: `tune` prunes by one.

    Given by the caller (`pipeline.train(..., watcher=...)`), no plugin's; asked on the loop's thread, on the only
    rank. A run that it ends is a finished run: its best epoch counts, artifact and report are made.
    """

    reason: str
    """Why the run is to end before its last epoch; "" lets it go on."""

    def epoch_ended(self, epoch: int, metrics: Mapping[str, float], /) -> None:
        """See an epoch: its number from 1, its scalar metrics by name ("valid.accuracy")."""
        ...


class Trainer(Protocol):
    """How it is learnt; made as `Target(options)`. Returns the trained module, or a `Trained`.

    May also have `weighs`, true when it honours the weights of samples: by taking its loss from the task's `loss`,
    which gets them with the batch, or by `session.weights`. Without it, data with weights is refused. And a method
    `check(trial)`, asked before a run is made: it raises BadUsage for options that can't work in a run like that
    `Trial`.
    """

    def train(self, session: Session, /) -> nn.Module | Trained: ...


@runtime_checkable
class Trained(Protocol):
    """Something trained that is no torch module: stores itself as data and names its runner."""

    runner: str

    def save(self, folder: Path, /) -> None: ...

    def __call__(self, *inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]: ...


class Pretrained(Protocol):
    """A model as its publisher trained it; made as `Target(options)`, or `Target()` when the model has no options.

    `rename` are (regular expression, replacement) pairs that make the model's names of the file's; `transform` are
    the operations that its input was trained with. `weights` gives a .safetensors, .pth or .pt file; `spec` what
    it was trained on, its classes named. Both raise NotAvailable when a package is missing. `task` is the task that
    it answers as; "" for weights that are only there to begin from.

    May also have `begins`, true where a recipe that says nothing of [start] begins from these weights: those of a
    model whose options name the folder that they lie in. Who doesn't want them writes start.weights = "".
    """

    task: str
    rename: Sequence[tuple[str, str]]
    transform: Sequence[Op]

    def weights(self) -> Path: ...

    def preprocess(self) -> Preprocess: ...

    def spec(self) -> Spec: ...


class Runner(Protocol):
    """Executes an export: made as `Target(folder)`; decoded numpy in, (answer, score) numpy out."""

    def __call__(self, *inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]: ...


class ArtifactView(Protocol):
    """What an exporter sees of an artifact. The module gives (answer, score) for decoded inputs."""

    folder: Path
    spec: Spec
    max_batch: int

    def module(self) -> nn.Module: ...

    def program(self) -> Any: ...

    def example(self, n: int, /) -> tuple[Tensor, ...]: ...


class Exporter(Protocol):
    """Writes an export's files into an empty folder; made as `Target(options)`."""

    def export(self, artifact: ArtifactView, folder: Path, /) -> None: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class RunFacts:
    """Which run an event speaks of."""

    name: str
    folder: str
    source: str
    model: str
    task: str
    epochs: int


Call = Callable[..., "tuple[np.ndarray, np.ndarray]"]
"""Any runner's call, as the answer functions get it."""
