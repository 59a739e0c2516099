"""What data is: specs, samples, batches, and the sources that give them. Shapes are per sample."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from torch import Tensor


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

    kind: image (C, H, W), volume (C, D, H, W), table (columns,), tokens (T,), audio (C, T). Where the target is
    no next token, the token 0 only fills up a text that is shorter than T.
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
    """What is to be answered: kind is class, labels, number, mask, next-token, or a plugin's own word.

    The classes of next-token are the tokens: texts, or with `spelling` "hex" their bytes, "c3a9".
    """

    kind: str
    name: str = "target"
    classes: tuple[str, ...] = ()
    shape: tuple[int | None, ...] = ()
    dtype: str = "int64"
    spelling: str = "text"


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

    decode runs on the CPU in numpy (see benchdog.data.decode.decoder); transform inside the model's graph (see
    benchdog.data.transform.transform), fitted once on the training split before the first step.
    """

    decode: Mapping[str, Sequence[Op]]
    transform: Mapping[str, Sequence[Op]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Raw:
    """A sample as it lies in the source: bytes or rows by field name. `target` is ready to stack.

    `weight` is how much its loss counts, 0 or more; all samples of a split have one, or none has.
    """

    id: str
    fields: Mapping[str, Any]
    target: Any = None
    weight: float | None = None


@dataclass(slots=True)
class Batch:
    """Stacked samples: inputs in the spec's order, each (B, ...); target (B, ...).

    `ids` are sample ids, or positions in their split. `last` is false for all but the final piece of
    a batch that was cut for gradient accumulation. `weight` (B,) float32 is how much each sample's loss
    counts; None when all count the same.
    """

    inputs: tuple[Tensor, ...]
    target: Tensor
    ids: Any = ()
    last: bool = True
    weight: Tensor | None = None


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


@runtime_checkable
class Split(Protocol):
    """Samples by position.

    May also have `batch(indices) -> (inputs, target)`, numpy arrays, inputs a tuple in the spec's
    order: the fast path, which must equal stacking decoded raws (that is checked). With `whole()` it gives
    the arrays of all its samples as they lie in memory; they are read and never changed. Where samples have
    weights, both give (inputs, target, weight), weight (B,).
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
    `preprocess(spec) -> Preprocess` (else the field's kind decides), `notes`, a list of sentences that a
    person is told, `time_order`, true when samples follow each other in time, and `seen`, where
    the division was given: how many samples of valid lie in train too, and of test in train or valid. It is told
    wherever figures of that split are. A table's may have `left_out`, why it leaves out which columns, for `plan`.
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
