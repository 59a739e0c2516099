"""Optional members of components: sub-protocols for methods, base classes with defaults for attributes.

A component has those that it needs and nothing for the others. Inheriting from what stands here is optional too: it
lets a type checker compare names and types. At run time a method is recognized by `isinstance(task, FittedTask)`,
an attribute is read by `with_defaults(task, TaskDefaults)`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

from benchdog.api.data import Batch, Cache, Preprocess, SampleCounts, Source, Spec, Split
from benchdog.api.protocols import Backend, Draws, Task, Trainer, Trial

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

Attributes = TypeVar("Attributes")


def with_defaults(component: object, defaults: type[Attributes]) -> Attributes:
    """Return a component's optional attributes; those that it lacks have their default.

    The values are those of this moment: read them again after a call that may change them (`check`, `open`).

    >>> from types import SimpleNamespace
    >>> task = with_defaults(SimpleNamespace(weighs=True), TaskDefaults)
    >>> task.weighs, task.adds_up
    (True, True)
    """
    if isinstance(component, defaults):
        return component
    values = defaults()
    for name in defaults.__annotations__:
        if hasattr(component, name):
            setattr(values, name, getattr(component, name))
    return values


class _ByLookup(type(Protocol)):  # type: ignore[misc]
    """The metaclass of the sub-protocols: `isinstance` asks whether the object has their methods.

    A plain runtime-checkable protocol looks at classes without calling `__getattr__` (from Python 3.12 on), and so
    would not see what a wrapper passes on; it also takes a method for present that an instance has set to None.
    """

    def __instancecheck__(cls, instance: Any) -> bool:
        if not cls._is_protocol:  # a plugin's class that inherits from a sub-protocol
            return bool(super().__instancecheck__(instance))
        methods = (name for name, value in vars(cls).items() if inspect.isfunction(value) and name[0] != "_")
        return all(callable(getattr(instance, name, None)) for name in methods)


# --- tasks


class TaskDefaults:
    """Optional attributes of a `Task`."""

    weighs: bool = False
    """Whether `loss` honors `batch.weight`: it returns the sum of weight x loss, and of weight x what counts.

    Without it, data with sample weights is refused, as it is where `adds_up` is false.
    """
    adds_up: bool = True
    """Whether the loss of a batch is the sum of its micro-batches' losses; else batches are never divided."""
    ignore: int | None = None
    """A code that masks (or token targets) may hold although it is not a class; it counts in no metric."""
    notes: Sequence[str] = ()
    """Sentences that are printed for the user, such as an order of the classes that the task assumed."""
    needs_target: bool = True
    """Whether it needs targets; a self-supervised task says False, and trains on a source whose target is "none"."""
    usual_scores: bool = False
    """Whether scores mean what they do in Benchdog's own task for the kind of target: log-probabilities up to a
    constant, or numbers that an affine head brings into the target's units. Benchdog's baselines are then measured;
    without it, and without `BaselineTask` or `InvertibleHeadTask`, there are none. A subclass with a `loss`, `head`
    or `output` of its own declares it again."""


@runtime_checkable
class FittedTask(Task, Protocol, metaclass=_ByLookup):
    """A task that learns something from the training targets before the first step: class weights, a scale."""

    def fit(self, targets: Iterable[Tensor], /) -> None:
        """Fit to the training split's targets, which arrive in chunks, each (n, ...). Called once, after `check`."""
        ...

    def state(self) -> Mapping[str, Any]:
        """Return what was fitted, in JSON's types; it is stored with the run."""
        ...

    def restore(self, state: Mapping[str, Any], /) -> None:
        """Take back what `state` returned, in place of `fit`."""
        ...


@runtime_checkable
class CollatingTask(Task, Protocol, metaclass=_ByLookup):
    """A task that decides how the targets of samples become a batch's; without it they are stacked or padded."""

    def collate(self, targets: Sequence[np.ndarray], spec: Spec, /) -> np.ndarray:
        """Return the targets of a batch, (B, ...), in a new array.

        It runs in the loader's worker processes, on a task that was made from its options and neither checked nor
        fitted. Row b depends on target b alone. Batches may differ in the length of axis 1, if the spec says
        `Target(padding=...)` and the rows beyond a sample's own consist of that value.

        Args:
            targets: one array per sample, in the spec's shape and dtype, checked. Don't write to them.
            spec: of the source.
        """
        ...


@runtime_checkable
class SampleLossTask(Task, Protocol, metaclass=_ByLookup):
    """A task that computes per-sample losses itself, since a sample's loss depends on others of its batch."""

    def losses(self, score: Tensor, batch: Batch, /) -> Tensor:
        """Return each sample's loss, (B,), for scores (B, ...)."""
        ...


@runtime_checkable
class InvertibleHeadTask(Task, Protocol, metaclass=_ByLookup):
    """A task whose head has an inverse; baselines that predict probabilities are then scored like a model."""

    def score_of(self, probabilities: Tensor, /) -> Tensor:
        """Return a score (B, ...) from which the head makes these probabilities (B, classes)."""
        ...


@runtime_checkable
class BaselineTask(Task, Protocol, metaclass=_ByLookup):
    """A task that is compared with baselines of its own instead of Benchdog's, or of none."""

    def baselines(self, inputs: tuple[np.ndarray, ...], /) -> Mapping[str, Callable[[Any], Tensor]]:
        """Return baseline predictors by name.

        Args:
            inputs: training samples (N, ...), one array per field.

        Returns:
            Functions from arrays like `inputs` (B, ...) to scores (B, ...).
        """
        ...


@runtime_checkable
class PreparedTask(Task, Protocol, metaclass=_ByLookup):
    """A task that decides what the model gets and what it is to predict: added noise, a time step, masked tokens.

    A batch is prepared after decoding and augmentation, before the transform; in training, in evaluation, and for
    every trainer. `check` sees the spec of the data; `output`, `head`, `meter`, the model and the predict function
    see what `prepared_spec` returns. The predict function's inputs are the data's, its `call` takes prepared ones.
    """

    def prepared_spec(self, spec: Spec, /) -> Spec:
        """Return the spec of what `prepare` returns, for data of this spec.

        A field with the name of one of the data's keeps its transform and its description but for the dtype; a
        field with a new name has no transform, and is passed as float32 (tokens as they are). The target may be of
        any kind.
        """
        ...

    def prepare(
        self, inputs: tuple[Tensor, ...], target: Tensor, draws: Draws, /
    ) -> tuple[tuple[Tensor, ...], Tensor]:
        """Return the batch that the model gets, in new tensors of `prepared_spec`'s shapes and types.

        Row b depends on sample b alone. Whatever the loss needs in addition to the score has to be in the target:
        in evaluation a batch has no inputs.

        Args:
            inputs: (B, ...) per field of the data, decoded, in storage types, on the batch's device.
            target: (B, ...), of the data.
            draws: the only source of randomness to use: a function of seed, epoch and sample in training, of the
                sample alone in evaluation, so that metrics are comparable.
        """
        ...


# --- data


class SourceDefaults:
    """Optional attributes of a `Source`; read after `open`."""

    notes: Sequence[str] = ()
    """Sentences that are printed for the user: what was left out, what was assumed."""
    time_order: bool = False
    """Whether samples follow each other in time; "last value" is then a baseline for numbers."""
    seen: Mapping[str, int] = MappingProxyType({})
    """Leakage of a split that came with the data: how many of valid's samples are in train too, and of test's in
    train or valid. Printed wherever metrics of that split are."""
    left_out: Mapping[str, str] = MappingProxyType({})
    """Columns of a table that are not features, each with the reason; `plan` lists them."""
    counts: SampleCounts | None = None
    """What the source found, used and skipped; printed before a training, and stored with the run."""


@runtime_checkable
class DownloadedSource(Source, Protocol, metaclass=_ByLookup):
    """A source with files to download. Nothing else of a source may use the network."""

    def fetch(self, cache: Cache, /) -> None:
        """Download what is missing from the cache. Always called before `open`."""
        ...


@runtime_checkable
class PreprocessedSource(Source, Protocol, metaclass=_ByLookup):
    """A source that decides how raw values become tensors; without it the kind of each field does."""

    def preprocess(self, spec: Spec, /) -> Preprocess:
        """Return the decode and transform operations of every field of the spec."""
        ...


class SplitDefaults:
    """Optional attributes of a `Split`."""

    targets: np.ndarray | None = None
    """All targets, (N, ...), for a source that knows them without reading samples; `data info` counts them."""


@runtime_checkable
class BatchSplit(Split, Protocol, metaclass=_ByLookup):
    """A split with a fast path: many samples at once. It is compared with decoded `raw` samples before training."""

    def batch(self, indices: Sequence[int], /) -> tuple[Any, ...]:
        """Return (inputs, target), or (inputs, target, weight) where samples have weights.

        numpy arrays, fresh ones for each call: inputs is a tuple of (B, ...) in the spec's order, target (B, ...),
        weight (B,). Targets of variable length are a list of B arrays, or (B, n, ...) with the spec's padding.
        """
        ...


@runtime_checkable
class ArraySplit(Split, Protocol, metaclass=_ByLookup):
    """A split that is in memory already, decoded."""

    def whole(self) -> tuple[Any, ...]:
        """Return what `batch` returns, of all samples in their order. The arrays are read, never written to."""
        ...


@runtime_checkable
class IndexedSplit(Split, Protocol, metaclass=_ByLookup):
    """A split that knows the ids of its samples without reading them."""

    def id(self, i: int, /) -> str:
        """Return the id of sample i, that of `raw(i)`."""
        ...


# --- training


class TrainerDefaults:
    """Optional attributes of a `Trainer`."""

    weighs: bool = False
    """Whether it honors sample weights: by taking the loss from `session.task`, which gets them with the batch, or
    by `session.weights`. Without it, data with weights is refused."""
    unlabeled: bool = False
    """Whether it needs samples without a target, `session.batch("unlabeled")`. Without it, a note says that they
    aren't used."""
    sources: Sequence[str] = ()
    """Names of the further sources that it needs: the recipe must have a table [sources.NAME] for each, and no
    others. It gets them by `session.batch(NAME)`."""
    models: Sequence[str] = ()
    """Names of the trained models that it needs: likewise [models.NAME], and `session.models[NAME]`."""


@runtime_checkable
class CheckedTrainer(Trainer, Protocol, metaclass=_ByLookup):
    """A trainer that checks its options against the run before the run's folder is made."""

    def check(self, trial: Trial, /) -> None:
        """Raise BadUsage for options that can't work in a run like this."""
        ...


class LayerDefaults:
    """Optional attributes of a layer, an `nn.Module` anywhere in a model."""

    mixes_samples: bool = False
    """Whether its output for a sample depends on others of the batch, as in batch normalization: a batch is then not
    divided into micro-batches unless the recipe allows it."""


class PretrainedDefaults:
    """Optional attributes of a `Pretrained`."""

    begins: bool = False
    """Whether training starts from these weights when the recipe's [start] says nothing: for models whose options
    name the folder of their weights. `start.weights = ""` starts from scratch."""
    classes: Sequence[str] = ()
    """Names of the classes that the head predicts, in its order; a head that is kept must fit the data's."""


@runtime_checkable
class LaunchingBackend(Backend, Protocol, metaclass=_ByLookup):
    """A backend that starts the processes of several ranks itself, by a cluster's launcher say."""

    def launch(self, argv: list[str], world: int, /) -> int:
        """Run the command for each rank, its number appended, and wait; return the exit code."""
        ...


# --- deployment


class RunnerDefaults:
    """Optional attributes of a `Runner`."""

    module: nn.Module | None = None
    """The torch module that it runs, where it is one: other exporters can then start from this export."""
