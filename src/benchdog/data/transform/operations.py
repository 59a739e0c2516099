"""The transform operations: scale, standardise, normalise, table and identity.

They are traced into the exported graph, so none of them branches on values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from benchdog.api import Column, Field, Op
from benchdog.data.transform.moments import Moments
from benchdog.errors import BadData, BadUsage, nearest


class Step(nn.Module):
    """One operation on one field; `fitted`: whether it is fitted on the training split."""

    fitted = False

    def output(self, field: Field) -> Field:
        """Return the description of the operation's output."""
        return replace(field, dtype="float32", range=None)

    def reset(self) -> None:
        """Reset the statistics."""

    def update(self, x: Tensor) -> None:
        """Update the statistics with a batch (B, ...)."""

    def finalize(self) -> None:
        """Write the statistics to buffers; BadData when they aren't finite."""


class Identity(Step):
    """Pass token codes through, and convert other values to float32."""

    def __init__(self, field: Field) -> None:
        super().__init__()
        self.keep = field.kind == "tokens"

    def output(self, field: Field) -> Field:
        return field if self.keep else super().output(field)

    def forward(self, x: Tensor) -> Tensor:
        return x if self.keep else x.float()


class Scale(Step):
    """Map [low, high] to [0, 1]."""

    scale: Tensor
    shift: Tensor

    def __init__(self, low: float, high: float) -> None:
        super().__init__()
        self.register_buffer("scale", torch.tensor(1.0 / (high - low)))
        self.register_buffer("shift", torch.tensor(-low / (high - low)))

    def output(self, field: Field) -> Field:
        return replace(super().output(field), range=(0.0, 1.0))

    def forward(self, x: Tensor) -> Tensor:
        return torch.addcmul(self.shift, x.float(), self.scale)


class Normalize(Step):
    """Normalize each channel with a given mean and standard deviation, such as those of pretrained weights."""

    scale: Tensor
    shift: Tensor

    def __init__(self, mean: Sequence[float], deviation: Sequence[float], axes: int) -> None:
        super().__init__()
        shape = (len(mean), *(1 for _ in range(axes - 1)))
        by = torch.tensor(deviation, dtype=torch.float64).view(shape)
        self.register_buffer("scale", by.reciprocal().float())
        self.register_buffer("shift", (-torch.tensor(mean, dtype=torch.float64).view(shape) / by).float())

    def forward(self, x: Tensor) -> Tensor:
        return torch.addcmul(self.shift, x.float(), self.scale)


class Standardize(Step):
    """Standardize each channel to mean 0 and standard deviation 1; a constant channel becomes 0."""

    fitted = True
    scale: Tensor
    shift: Tensor

    def __init__(self, field: Field) -> None:
        super().__init__()
        self.name = field.name
        channels, *rest = field.shape
        shape = (channels or 0, *(1 for _ in rest))
        self.register_buffer("scale", torch.ones(shape))
        self.register_buffer("shift", torch.zeros(shape))
        self.moments = Moments(shape[0])

    def forward(self, x: Tensor) -> Tensor:
        return torch.addcmul(self.shift, x.float(), self.scale)

    def reset(self) -> None:
        self.moments = Moments(self.scale.shape[0])

    def update(self, x: Tensor) -> None:
        self.moments.add(x)

    def finalize(self) -> None:
        mean, scale = self.moments.mean, self.moments.deviation().reciprocal()
        check_finite(self.name, mean, scale)
        self.scale.copy_(scale.view_as(self.scale))
        # Computed from the rounded scale: a constant channel becomes exactly 0, not a rounding error.
        self.shift.copy_((-mean * self.scale.flatten().double()).view_as(self.shift))


class Table(Step):
    """Standardize the numbers of a row, impute missing ones, one-hot encode its categories.

    Output (B, width): the numbers in order, then a 0/1 indicator for each column of `missing`, then the one-hot
    encoding of each category column, all zeros for code 0 (missing or unseen). With `codes` the column's code
    stands in place of its one-hot encoding. Missing numbers are imputed with the training split's mean.
    """

    fitted = True
    numbers: Tensor
    flags: Tensor
    places: Tensor
    codes: Tensor
    mean: Tensor
    scale: Tensor

    def __init__(self, columns: tuple[Column, ...], missing: tuple[str, ...], codes: bool = False) -> None:
        super().__init__()
        self.columns = columns
        self.missing = missing
        self.as_codes = codes
        index = {column.name: i for i, column in enumerate(columns)}
        numbers = [i for i, column in enumerate(columns) if column.kind == "number"]
        pairs = [
            (index[column.name], code)
            for column in columns
            if column.kind != "number"
            for code in (range(1) if codes else range(1, len(column.categories) + 1))
        ]
        self.register_buffer("numbers", torch.tensor(numbers, dtype=torch.int64))
        self.register_buffer("flags", torch.tensor([index[m] for m in missing], dtype=torch.int64))
        self.register_buffer("places", torch.tensor([p for p, _ in pairs], dtype=torch.int64))
        self.register_buffer("codes", torch.tensor([float(c) for _, c in pairs]))
        self.register_buffer("mean", torch.zeros(len(numbers)))
        self.register_buffer("scale", torch.ones(len(numbers)))
        self.has_numbers, self.has_codes = bool(numbers), bool(pairs)
        self.moments = Moments(len(numbers))

    def output(self, field: Field) -> Field:
        names = [c.name for c in self.columns if c.kind == "number"]
        names += [f"{name} is missing" for name in self.missing]
        categories = [c for c in self.columns if c.kind != "number"]
        if not self.as_codes:
            names += [f"{c.name}={value}" for c in categories for value in c.categories]
        columns = (*(Column(name=name) for name in names), *(categories if self.as_codes else ()))
        return replace(field, shape=(len(columns),), dtype="float32", range=None, columns=columns)

    def forward(self, x: Tensor) -> Tensor:
        row = x.float()  # (B, columns)
        numbers = row.index_select(1, self.numbers)
        known = torch.where(torch.isnan(numbers), self.mean, numbers)
        parts = [(known - self.mean) * self.scale] if self.has_numbers else []
        if self.missing:
            parts.append(torch.isnan(row.index_select(1, self.flags)).float())
        if self.has_codes:
            codes = row.index_select(1, self.places)
            parts.append(codes if self.as_codes else (codes == self.codes).float())
        return torch.cat(parts, 1)

    def reset(self) -> None:
        self.moments = Moments(len(self.numbers))

    def update(self, x: Tensor) -> None:
        self.moments.add(x.index_select(1, self.numbers), skip_nan=True)

    def finalize(self) -> None:
        mean, scale = self.moments.mean, self.moments.deviation().reciprocal()
        check_finite(", ".join(c.name for c in self.columns if c.kind == "number"), mean, scale)
        self.mean.copy_(mean)
        self.scale.copy_(scale)


def check_finite(name: str, *values: Tensor) -> None:
    """Raise BadData for statistics that are infinite or NaN."""
    if not all(bool(v.isfinite().all()) for v in values):
        raise BadData(
            f"The training split has values in {name!r} that are infinite or NaN.",
            "Remove those samples, or mark missing numbers of a table as missing.",
        )


# --- from names to modules -------------------------------------------------------------------------


def build_step(op: Op, field: Field) -> Step:
    """Build one operation.

    Raises:
        BadUsage: an unknown operation or parameter, or an invalid value.
    """
    name = op.get("op") if isinstance(op, Mapping) else op
    if not isinstance(op, Mapping) or name not in OPERATIONS:
        raise BadUsage(f"The transform of {field.name!r} has no operation {name!r}.", nearest(str(name), OPERATIONS))
    maker, allowed = OPERATIONS[name]
    for key in op:
        if key != "op" and key not in allowed:
            raise BadUsage(f"The operation {name!r} has no parameter {key!r}.", nearest(key, allowed))
    return maker(op, field)


def build_standardize(op: Op, field: Field) -> Step:
    """Build {"op": "standardise", "axes": "channel"}."""
    axes = op.get("axes", "channel")
    if axes != "channel":
        raise BadUsage(f"The operation 'standardise' has no axes {axes!r}.", 'Write axes = "channel".')
    if field.kind == "tokens" or not field.shape or field.shape[0] is None:
        raise BadUsage(
            f"The operation 'standardise' needs channels; {field.name!r} is {field.kind} of {field.shape}.",
            "Use 'identity' for tokens; other fields need a fixed first axis.",
        )
    return Standardize(field)


def build_scale(op: Op, field: Field) -> Step:
    """Build {"op": "scale", "low": 0, "high": 255}."""
    low, high = number(op, "low"), number(op, "high")
    if not low < high:
        raise BadUsage(f"The operation 'scale' has low {low:g} and high {high:g}.", "Low must be below high.")
    if field.kind == "tokens":
        raise BadUsage(f"The operation 'scale' can't change {field.name!r}: token codes aren't quantities.")
    return Scale(low, high)


def build_normalize(op: Op, field: Field) -> Step:
    """Build {"op": "normalise", "mean": [127.0], "deviation": [128.0]}: a number per channel, or one for all."""
    if field.kind == "tokens" or not field.shape:
        raise BadUsage(f"The operation 'normalise' can't change {field.name!r}: token codes aren't quantities.")
    given: dict[str, list[float]] = {}
    for key in ("mean", "deviation"):
        values = op.get(key)
        if not isinstance(values, Sequence) or isinstance(values, str) or len(values) not in (1, field.shape[0]):
            raise BadUsage(
                f"The operation 'normalise' has {key} = {values!r}.",
                f"Write a list of one number, or of one for each of the {field.shape[0]} channels.",
            )
        given[key] = [number({"op": "normalise", key: value}, key) for value in values]
    longest = max(map(len, given.values()))
    mean, deviation = (values * (longest // len(values)) for values in given.values())
    if min(deviation) <= 0:
        raise BadUsage(
            f"The operation 'normalise' has deviation = {deviation}.", "Standard deviations must be above 0."
        )
    return Normalize(mean, deviation, len(field.shape))


def build_table(op: Op, field: Field) -> Step:
    """Build {"op": "table", "missing": ["age"], "categories": "codes"}; columns without names are all numbers."""
    width = field.shape[0] if len(field.shape) == 1 else None
    columns = field.columns or tuple(Column(name=f"{field.name} {i + 1}") for i in range(width or 0))
    if field.kind != "table" or not columns or len(columns) != width:
        raise BadUsage(
            f"The operation 'table' needs a row of columns, but {field.name!r} is {field.kind} "
            f"of {field.shape} with {len(field.columns)} named columns.",
            "Describe each column in the spec, or use 'standardise'.",
        )
    missing = op.get("missing", ())
    if isinstance(missing, str) or not isinstance(missing, Sequence):
        raise BadUsage(f"The operation 'table' has missing = {missing!r}.", 'Write missing = ["age"].')
    numbers = [column.name for column in columns if column.kind == "number"]
    for name in missing:
        if name not in numbers:
            raise BadUsage(f"{name!r} in 'missing' is not a column of numbers.", nearest(str(name), numbers))
    how = op.get("categories", "one-hot")
    if how not in ("one-hot", "codes"):
        raise BadUsage(f"The operation 'table' has categories = {how!r}.", "Write one-hot or codes.")
    return Table(columns, tuple(dict.fromkeys(missing)), how == "codes")


def build_identity(op: Op, field: Field) -> Step:
    """Build {"op": "identity"}."""
    return Identity(field)


def number(op: Op, key: str) -> float:
    """Read a finite number among an operation's parameters."""
    value = op.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < float("inf"):
        raise BadUsage(f"The operation {op['op']!r} has {key} = {value!r}.", f"{key} must be a number.")
    return float(value)


Builder = Callable[[Op, Field], Step]
OPERATIONS: Mapping[Any, tuple[Builder, Mapping[str, str]]] = {
    "standardise": (
        build_standardize,
        {"axes": "What has a mean and a deviation of its own: channel, the only choice and the default."},
    ),
    "scale": (build_scale, {"low": "Value that becomes 0; required.", "high": "Value that becomes 1; required."}),
    "table": (
        build_table,
        {
            "missing": "Columns of numbers that get a 0/1 indicator of missing values. Default: none.",
            "categories": "one-hot, or codes: integers for an embedding. Default: one-hot.",
        },
    ),
    "normalise": (
        build_normalize,
        {
            "mean": "List of a number per channel, or one for all; required.",
            "deviation": "Standard deviations, likewise.",
        },
    ),
    "identity": (build_identity, {}),
}
"""Each operation: what builds it, and its parameters with their documentation."""
