"""Data types: specs, samples, batches, predictions, and the protocols of sources. Shapes are per sample."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


Op = Mapping[str, Any]
"""A preprocessing operation with JSON parameters: {"op": "image", "mode": "L", "height": 28, "width": 28}."""


def _check_text(made: Any, *names: str) -> None:
    """Raise TypeError in the line that makes a description with something else than text."""
    for name in names:
        if not isinstance(value := getattr(made, name), str):
            raise TypeError(f'{type(made).__name__}: {name} is {value!r}, not a text such as {name}="name"')


def _check_tuple(made: Any, name: str, of: Any, example: str) -> None:
    """Raise TypeError likewise for something else than a tuple, or a list, of these; a list becomes a tuple."""
    value = getattr(made, name)
    items = value if isinstance(value, list | tuple) else None
    if items is None or not all(isinstance(each, of) for each in items):
        what = repr(value) if isinstance(value, str | int | float | list | tuple) else f"a {type(value).__name__}"
        raise TypeError(f"{type(made).__name__}: {name} is {what}, not a tuple such as {name}={example}")
    if isinstance(value, list):
        object.__setattr__(made, name, tuple(value))


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """A column of a table: kind "number", or "category" (codes 1 to n; 0 for missing or unseen values)."""

    name: str
    kind: str = "number"
    categories: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_text(self, "name", "kind")
        _check_tuple(self, "categories", str, '("red", "green")')


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """An input of a sample after decoding, in its storage type.

    Attributes:
        kind: image (C, H, W), volume (C, D, H, W), table (columns,), tokens (T,) or audio (C, T). Unless the target
            is "next-token", token 0 is padding.
        shape: None for an axis of variable length.
        dtype: numpy's name of the storage type, such as "uint8".
        name: key of the input in `Raw.fields`.
        range: smallest and largest value of the storage type, if it has any.
        columns: of a table.
    """

    kind: str
    shape: tuple[int | None, ...]
    dtype: str
    name: str = "input"
    range: tuple[float, float] | None = None
    columns: tuple[Column, ...] = ()

    def __post_init__(self) -> None:
        _check_text(self, "kind", "dtype", "name")
        _check_tuple(self, "shape", int | None, "(3, 32, 32)")
        _check_tuple(self, "columns", Column, '(Column(name="age"),)')


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """What is to be predicted.

    Attributes:
        kind: "class", "labels" (multi-label), "number", "mask", "image" (C, H, W), "boxes", "next-token", "none", or
            a plugin's own. "boxes" are rows (x1, y1, x2, y2, class code) in pixels of the decoded image, (0, 0) its
            upper left corner; "none": no sample has a target (see `TaskDefaults.needs_target`).
        name: of the column or the file that it comes from.
        classes: class names; of "labels" the labels, of "number" names of several values, of "next-token" the
            vocabulary.
        shape: of one target; () for a class or a single number. None for an axis of variable length.
        dtype: numpy's name of the type.
        spelling: "text", or "hex" where `classes` are the bytes of tokens: "c3a9".
        padding: where the first axis has variable length, the value of the rows that are appended until the targets
            of a batch are equally long. No row of a sample may consist of it. None: all targets of a batch must
            have one length.
    """

    kind: str
    name: str = "target"
    classes: tuple[str, ...] = ()
    shape: tuple[int | None, ...] = ()
    dtype: str = "int64"
    spelling: str = "text"
    padding: float | None = None

    def __post_init__(self) -> None:
        _check_text(self, "kind", "name", "dtype")
        _check_tuple(self, "classes", str, '("cat", "dog")')
        _check_tuple(self, "shape", int | None, "(), or (4,)")

    def real_rows(self, target: Any, /) -> Any:
        """Return which rows of a batch's targets (B, n, ...) are a sample's and not padding: (B, n) bool.

        Takes and returns a numpy array or a torch tensor. Without padding, all are.
        """
        real = (target == target) | (target != target) if self.padding is None else target != self.padding
        while real.ndim > 2:
            real = real.any(-1)
        return real


@dataclass(frozen=True, kw_only=True, slots=True)
class Spec:
    """Inputs and target of a source's samples, and `output`, the shape of a model's score, filled in by the task."""

    fields: tuple[Field, ...]
    target: Target
    output: tuple[int | None, ...] = ()

    def __post_init__(self) -> None:
        _check_tuple(self, "fields", Field, "(Field(...),)")
        if not isinstance(self.target, Target):
            raise TypeError(f"Spec: target is a {type(self.target).__name__}, not a Target(kind=...)")

    @property
    def channels(self) -> int:
        """Channels of the first field: its first axis; 0 if that has variable length."""
        return self.fields[0].shape[0] or 0

    @property
    def size(self) -> tuple[int | None, ...]:
        """Axes of the first field after the channels: (H, W) for an image."""
        return self.fields[0].shape[1:]

    @property
    def classes(self) -> int:
        """Number of classes; 0 if the target has none."""
        return len(self.target.classes)

    @property
    def outputs(self) -> int:
        """Length of the score's first axis: number of classes, or of values to predict; 0 before it is known."""
        return (self.output[0] or 0) if self.output else 0

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form that artifacts and exports store."""
        data = asdict(self)
        if self.target.padding is None:  # as it was written before there was padding
            del data["target"]["padding"]
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Spec:
        """Build a spec from its JSON form."""

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
        """Return a copy with `shape`, per sample, as the shape of the score."""
        return replace(self, output=shape)


@dataclass(frozen=True, kw_only=True, slots=True)
class Preprocess:
    """Preprocessing from raw bytes to the model's input: named operations, per field.

    Attributes:
        decode: run on the CPU in numpy, in worker processes (benchdog.data.decode).
        transform: run in the model's graph (benchdog.data.transform); fitted once, on the training split, before
            the first step.
    """

    decode: Mapping[str, Sequence[Op]]
    transform: Mapping[str, Sequence[Op]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Raw:
    """An undecoded sample.

    Attributes:
        id: unique in its split, such as a path or "row 12".
        fields: raw value by field name: bytes of an image file, a mapping (table row), a text, or a numpy array.
        target: in the spec's shape; None if it is unknown, as in the split "unlabeled". Targets of a batch are
            stacked, or collated where their length varies.
        weight: factor of the sample's loss, 0 or more. Either all samples of a split have one or none has.
    """

    id: str
    fields: Mapping[str, Any]
    target: Any = None
    weight: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleCounts:
    """What a source found: each item is used or skipped for a reason, so that nothing is lost without a word.

    Attributes:
        found: number of items that there are.
        used: number of those that became samples.
        skipped: number of the others by reason, as it reads behind the number: {"not images": 3, "hidden": 2}.
        unit: what is counted: "files", "rows".
    """

    found: int
    used: int
    skipped: Mapping[str, int]
    unit: str = "samples"


@dataclass(slots=True)
class Batch:
    """A batch, or one micro-batch of it.

    Attributes:
        inputs: (B, ...) per field, in the spec's order.
        target: (B, ...); (B, 0), which holds nothing, where samples have no target.
        ids: sample ids, or positions in the split.
        last: whether it is the last micro-batch of its batch: with gradient accumulation the optimizer steps then.
        weight: sample weights, (B,) float32; None if all samples count the same.
    """

    inputs: tuple[Tensor, ...]
    target: Tensor
    ids: Any = ()
    last: bool = True
    weight: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """The prediction for one sample: {"label": "7", "probability": 0.98, ...}, in JSON's types and numpy arrays.

    What an array is, its task's descriptor says: `TaskInfo(values={"mask": "mask"})`.
    """

    values: Mapping[str, Any]
    id: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ArrayValue:
    """An array in an answer, as a writer gets it.

    Attributes:
        name: its key in `answer.values`.
        array: the array, without a batch axis; it isn't to be changed.
        answer: all that is predicted for the sample, such as a sample rate next to the audio.
        spec: of the model: class names, ranges.
    """

    name: str
    array: np.ndarray
    answer: Answer
    spec: Spec


@dataclass(frozen=True, kw_only=True, slots=True)
class Shard:
    """A part of a stream that can be read from any offset.

    Attributes:
        name: unique in its split.
        samples: their number, if it is known.
        endless: whether it never ends, as that of a simulator: for training alone, with `loop.steps_per_epoch`.
            Sample i must still be a function of the shard and i.
    """

    name: str
    samples: int | None = None
    endless: bool = False


@runtime_checkable
class Split(Protocol):
    """A map-style data set: samples by position.

    Optional members: `BatchSplit`, `ArraySplit`, `IndexedSplit`, `SplitDefaults`.
    """

    def __len__(self) -> int: ...

    def raw(self, i: int, /) -> Raw:
        """Return sample i, the same one each time."""
        ...


@runtime_checkable
class Stream(Protocol):
    """An iterable-style data set in shards, for data that doesn't fit into memory or has no positions."""

    def shards(self) -> Sequence[Shard]:
        """Return the shards, the same ones in the same order each time."""
        ...

    def read(self, shard: Shard, start: int, /) -> Iterator[Raw]:
        """Yield a shard's samples from number `start` on: a resumed run skips those that it has seen."""
        ...


Splits = Mapping[str, "Split | Stream | Sequence[Raw]"]
"""Splits by name: train, valid and test, and "unlabeled": a `Split` of samples without a target, for trainers that
declare `TrainerDefaults.unlabeled`. A source may also return one list of Raw, which is split by content hash; those
whose target is None become the split "unlabeled"."""


class Cache(Protocol):
    """A source's folder in the download cache."""

    folder: Path

    def download(self, url: str, *, sha256: str, name: str = "") -> Path:
        """Download a file unless it is there; resumes, shows progress, and locks it against other processes.

        Args:
            url: where it is.
            sha256: hex digest of the contents.
            name: file name in the cache; "" for that of the URL.

        Raises:
            BadData: the contents have another digest.
            Failed: the download failed.
        """
        ...


class Source(Protocol):
    """A data source; called as `Target(options)`, or `Target()` if its descriptor names no options.

    Optional members: `DownloadedSource`, `PreprocessedSource`, `SourceDefaults`.
    """

    def spec(self) -> Spec:
        """Return what samples are after decoding. Raises BadData or BadUsage where the data doesn't say."""
        ...

    def open(self) -> Splits | Sequence[Raw]:
        """Return the splits, or all samples in one list. Every process that loads data calls it."""
        ...


def split_of(content: bytes, *, valid: float = 0.15, test: float = 0.15, seed: int = 0) -> str:
    """Return the split ("train", "valid" or "test") of a sample by a hash of its content: duplicates stay together.

    Args:
        content: the sample's bytes, or those of its group if the samples of a group must stay together.
        valid: share of the validation split, 0 to 1.
        test: share of the test split, 0 to 1.
        seed: of the hash; another one splits differently.
    """
    key = seed.to_bytes(8, "little", signed=True)
    place = int.from_bytes(hashlib.blake2b(content, digest_size=8, key=key).digest(), "big") / 2**64
    return "test" if place < test else "valid" if place < test + valid else "train"
