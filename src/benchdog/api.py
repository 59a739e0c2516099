"""Everything that a plugin's author imports: hook marker, descriptors, data types, protocols, errors.

Standard library and pluggy only, so that a plugin's hook module costs nothing at start-up. Tensors
appear in annotations alone. Shapes are per sample unless a leading B says batch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol, runtime_checkable

import pluggy

from benchdog.errors import (
    BadData,
    BadUsage,
    BenchdogError,
    Failed,
    NotAvailable,
    Refused,
)

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

__all__ = [  # noqa: RUF022 -- in the order of the file
    "CONTRACT", "hookimpl", "hookspec", "Doc", "Bounds",
    "Component", "SourceInfo", "ModelInfo", "TaskInfo", "TrainerInfo", "ExporterInfo", "BackendInfo",
    "Column", "Field", "Target", "Spec", "Op", "Preprocess", "Raw", "Batch", "Shard", "Answer",
    "Split", "Stream", "Splits", "Cache", "Source", "Task", "Meter", "Session", "Trainer",
    "ArtifactView", "Exporter", "Runner", "Call", "Trained", "Probe", "Device", "Backend", "RunFacts",
    "BenchdogError", "BadData", "BadUsage", "Failed", "NotAvailable", "Refused", "split_of",
]  # fmt: skip

CONTRACT: Final = 0
"""The number of this contract; 0 means that it may still change."""

hookimpl = pluggy.HookimplMarker("benchdog")
hookspec = pluggy.HookspecMarker("benchdog")


# --- options ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Doc:
    """The one-line documentation of an option: `Annotated[int, Doc("Layers.")]`."""

    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounds:
    """The values that a numeric option may take: `Annotated[float, Doc("..."), Bounds(gt=0)]`."""

    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None


# --- descriptors -----------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Component:
    """A named part that a plugin offers.

    `target` and `options` are strings ("package.module:attribute"; a leading ":" means the module of
    the hook itself), so that listing components imports nothing of what they need. `options` names a
    stdlib dataclass in a module that imports nothing heavy. `requires` holds import names that must be
    installed for the component to work; `install` says how to get them.
    """

    name: str
    summary: str
    target: str
    options: str = ""
    requires: tuple[str, ...] = ()
    install: str = ""
    kind: ClassVar[str] = "component"


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceInfo(Component):
    """Offer a data source. `defaults` are recipe keys that suit it: {"loop.epochs": 5}."""

    defaults: Mapping[str, Any] = field(default_factory=dict)
    kind: ClassVar[str] = "source"


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelInfo(Component):
    """Offer a model: a function or class called as `build(spec, options)`."""

    kind: ClassVar[str] = "model"


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskInfo(Component):
    """Offer a task.

    `targets` are the target kinds that it is chosen for; `models` its default model by field kind;
    `answer` a function `(call, inputs, spec, options) -> list[Answer]` in a module without torch.
    """

    answer: str
    targets: tuple[str, ...] = ()
    models: Mapping[str, str] = field(default_factory=dict)
    kind: ClassVar[str] = "task"


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainerInfo(Component):
    """Offer a trainer. `resumable` is false for one that can't go on after a stop."""

    resumable: bool = True
    kind: ClassVar[str] = "trainer"


@dataclass(frozen=True, kw_only=True, slots=True)
class ExporterInfo(Component):
    """Offer an exporter. `runner` executes the export; `program` says that the format can run code."""

    runner: str
    program: bool = False
    kind: ClassVar[str] = "exporter"


@dataclass(frozen=True, kw_only=True, slots=True)
class BackendInfo(Component):
    """Offer hardware."""

    kind: ClassVar[str] = "backend"


# --- what data is ----------------------------------------------------------------------------------

Op = Mapping[str, Any]
"""A named operation with JSON parameters: {"op": "image", "mode": "L", "height": 28, "width": 28}."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """A column of a table: numbers, or a category (codes 1..n; 0 is missing or never seen)."""

    name: str
    kind: str = "number"
    categories: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """An input of a sample, as it is after decoding, in its storage type.

    kind: image (C, H, W), volume (C, D, H, W), table (columns,), tokens (T,), audio (C, T).
    A free axis is None. dtype is numpy's name; range the smallest and largest storage value.
    """

    kind: str
    shape: tuple[int | None, ...]
    dtype: str
    name: str = "input"
    range: tuple[float, float] | None = None
    columns: tuple[Column, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """What is to be answered: kind is class, number, mask, next-token, or a plugin's own word."""

    kind: str
    name: str = "target"
    classes: tuple[str, ...] = ()
    shape: tuple[int | None, ...] = ()
    dtype: str = "int64"


@dataclass(frozen=True, kw_only=True, slots=True)
class Spec:
    """What a source yields and (`output`, filled in by the task) the shape of a model's score."""

    fields: tuple[Field, ...]
    target: Target
    output: tuple[int | None, ...] = ()

    @property
    def channels(self) -> int:
        """Channels of the first field: its leading axis."""
        return self.fields[0].shape[0] or 0

    @property
    def size(self) -> tuple[int | None, ...]:
        """The first field's axes after the channels: (H, W) of an image."""
        return self.fields[0].shape[1:]

    @property
    def classes(self) -> int:
        """Number of classes; 0 when the target has none."""
        return len(self.target.classes)

    @property
    def outputs(self) -> int:
        """Length of the score's leading axis: classes, or values to predict."""
        return (self.output[0] or 0) if self.output else 0

    def to_json(self) -> dict[str, Any]:
        """Give the JSON form that artifacts and exports keep."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Spec:
        """Rebuild a spec from its JSON form."""

        def deep(value: Any) -> Any:
            return tuple(map(deep, value)) if isinstance(value, list | tuple) else value

        fields = tuple(
            Field(
                **{k: deep(v) for k, v in f.items() if k != "columns"},
                columns=tuple(Column(**{k: deep(v) for k, v in c.items()}) for c in f["columns"]),
            )
            for f in data["fields"]
        )
        target = Target(**{k: deep(v) for k, v in data["target"].items()})
        return cls(fields=fields, target=target, output=deep(data["output"]))

    def with_output(self, *shape: int | None) -> Spec:
        """Give this spec with the score's shape filled in."""
        return replace(self, output=shape)


@dataclass(frozen=True, kw_only=True, slots=True)
class Preprocess:
    """The way from raw bytes to the model's input, per field, as named operations.

    decode runs on the CPU in numpy (see benchdog.decode); transform inside the model's graph (see
    benchdog.transforms), fitted once on the training split before the first step.
    """

    decode: Mapping[str, Sequence[Op]]
    transform: Mapping[str, Sequence[Op]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Raw:
    """A sample as it lies in the source: bytes or rows by field name. `target` is ready to stack."""

    id: str
    fields: Mapping[str, Any]
    target: Any = None


@dataclass(slots=True)
class Batch:
    """Stacked samples: inputs in the spec's order, each (B, ...); target (B, ...).

    `ids` are sample ids, or positions in their split. `last` is false for all but the final piece of
    a batch that was cut for gradient accumulation.
    """

    inputs: tuple[Tensor, ...]
    target: Tensor
    ids: Any = ()
    last: bool = True


@dataclass(frozen=True, slots=True)
class Answer:
    """What is said about one sample: {"label": "7", "probability": 0.98, ...}; JSON but for arrays."""

    values: Mapping[str, Any]
    id: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shard:
    """A part of a stream that can be read on its own from any offset."""

    name: str
    samples: int | None = None


# --- source ----------------------------------------------------------------------------------------


@runtime_checkable
class Split(Protocol):
    """Samples by position.

    May also have `batch(indices) -> (inputs, target)`, numpy arrays, inputs a tuple in the spec's
    order: the fast path, which must equal stacking decoded raws (that is checked).
    """

    def __len__(self) -> int: ...

    def raw(self, i: int, /) -> Raw: ...


@runtime_checkable
class Stream(Protocol):
    """Samples in shards, for data that doesn't fit or has no positions."""

    def shards(self) -> Sequence[Shard]: ...

    def read(self, shard: Shard, start: int, /) -> Iterator[Raw]: ...


Splits = Mapping[str, "Split | Stream | Sequence[Raw]"]
"""train, valid and test. A source may also return one list of Raw: it is split by content hash."""


class Cache(Protocol):
    """A source's own folder under the user's cache folder."""

    folder: Path

    def download(self, url: str, *, sha256: str, name: str = "") -> Path:
        """Fetch a file once: resumed, checked, locked, with a progress bar."""
        ...


class Source(Protocol):
    """Where data comes from; made as `Target(options)`, or `Target()` when it declares no options.

    May also have `fetch(cache)`, the only place that uses the network, always called before `open`,
    and `preprocess(spec) -> Preprocess` (else the field's kind decides).
    """

    def spec(self) -> Spec: ...

    def open(self) -> Splits | Sequence[Raw]: ...


def split_of(content: bytes, *, valid: float = 0.15, test: float = 0.15, seed: int = 0) -> str:
    """Say which split a sample belongs to by its content, so that duplicates stay together.

    Args:
        content: what identifies the sample, or the group that mustn't be torn apart.
        valid: share of the validation split, 0 to 1.
        test: share of the test split, 0 to 1.
        seed: another number gives another division.
    """
    key = seed.to_bytes(8, "little", signed=True)
    place = int.from_bytes(hashlib.blake2b(content, digest_size=8, key=key).digest(), "big") / 2**64
    return "test" if place < test else "valid" if place < test + valid else "train"


# --- task ------------------------------------------------------------------------------------------


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
    """

    monitor: str
    better: str

    def check(self, spec: Spec, /) -> None: ...

    def output(self, spec: Spec, /) -> tuple[int | None, ...]: ...

    def head(self, spec: Spec, /) -> nn.Module: ...

    def loss(self, score: Tensor, batch: Batch, /) -> tuple[Tensor, float | Tensor]: ...

    def meter(self, spec: Spec, /) -> Meter: ...


# --- hardware --------------------------------------------------------------------------------------


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

    def step(self, optimiser: Any, /) -> None: ...

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


# --- training --------------------------------------------------------------------------------------


class Session(Protocol):
    """What a trainer works with. Checkpoints, exact resume, events and signals come with it."""

    model: nn.Module
    task: Task
    spec: Spec
    device: Device
    epoch: int
    step: int
    total_steps: int | None

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

    def evaluate(self, split: str = "valid", /) -> dict[str, Any]:
        """Run the model over a split without gradients and give the task's metrics."""
        ...

    def epoch_done(self, metrics: Mapping[str, Any], /) -> None:
        """Close an epoch: log its metrics, keep the best, stop early."""
        ...

    @property
    def should_stop(self) -> bool: ...


class Trainer(Protocol):
    """How it is learnt; made as `Target(options)`. Returns the trained module, or a `Trained`."""

    def train(self, session: Session, /) -> nn.Module | Trained: ...


@runtime_checkable
class Trained(Protocol):
    """Something trained that is no torch module: stores itself as data and names its runner."""

    runner: str

    def save(self, folder: Path, /) -> None: ...

    def __call__(self, *inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]: ...


# --- deployment ------------------------------------------------------------------------------------


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


# --- events ----------------------------------------------------------------------------------------


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
