"""Decoding: raw bytes, table rows and texts become arrays in their storage dtype, by named operations.

Operations have only JSON parameters, so that an export can carry them and other languages reimplement them.
NumPy and Pillow, no torch: predict and serve decode without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchdog.api import Field, Op, Preprocess, Raw, Spec
from benchdog.data.decode.errors import Array, DecodeError, Step
from benchdog.data.decode.operations import OPS
from benchdog.data.decode.text import is_character_vocabulary
from benchdog.errors import BadData, BadUsage, nearest

# --- preprocess ------------------------------------------------------------------------------------


def default_preprocess(spec: Spec) -> Preprocess:
    """Return the default preprocess of a spec, by the kind of each field."""
    return Preprocess(
        decode={field.name: [_default_decode(field, spec)] for field in spec.fields},
        transform={field.name: [_default_transform(field)] for field in spec.fields},
    )


def _default_decode(field: Field, spec: Spec) -> Op:
    if field.kind == "image" and field.dtype == "uint8" and field.shape[0] in (1, 3):
        mode = "L" if field.shape[0] == 1 else "RGB"
        return {"op": "image", "mode": mode, "height": field.shape[1], "width": field.shape[2]}
    if field.kind == "table" and field.columns:
        columns = [{"name": c.name, "kind": c.kind, "categories": list(c.categories)} for c in field.columns]
        return {"op": "row", "columns": columns}
    if field.kind == "tokens" and spec.target.kind == "next-token" and is_character_vocabulary(spec.target.classes):
        return {"op": "tokens", "vocabulary": list(spec.target.classes)}
    return {"op": "array", "dtype": field.dtype, "shape": list(field.shape)}


def _default_transform(field: Field) -> Op:
    if field.kind == "table":
        return {"op": "table", "missing": []}
    if field.kind == "tokens":
        return {"op": "identity"}
    return {"op": "standardise", "axes": "channel"}


# --- decoding --------------------------------------------------------------------------------------


class Decoder:
    """Decodes samples by the operations of a preprocess, which are checked once.

    Raises:
        BadUsage: an operation or parameter that is unknown or invalid, a parameter that is missing, a field
            without operations.
    """

    def __init__(self, spec: Spec, preprocess: Preprocess) -> None:
        self.spec, self.preprocess = spec, preprocess
        names = [field.name for field in spec.fields]
        for name in preprocess.decode:
            if name not in names:
                raise BadUsage(f"preprocess.decode names the unknown field {name!r}.", nearest(name, names))
        self._chains = [_chain(field, preprocess.decode.get(field.name, ())) for field in spec.fields]

    def __call__(self, raw: Raw) -> tuple[Array, ...]:
        """Decode one sample: an array per field, in the spec's order, shape and storage type.

        Raises:
            BadData: the value is damaged or doesn't match the spec; the message names the sample.
        """
        return tuple(_field(raw, field, chain) for field, chain in zip(self.spec.fields, self._chains, strict=True))

    def batch(self, raws: Sequence[Raw]) -> tuple[Array, ...]:
        """Decode and stack samples: one array (B, ...) per field.

        Raises:
            BadData: a sample is damaged, or shapes differ.
        """
        return stack([self(raw) for raw in raws])


def stack(samples: Sequence[tuple[Array, ...]]) -> tuple[Array, ...]:
    """Stack decoded samples into one array (B, ...) per field.

    Raises:
        BadData: there are no samples, or their shapes differ.
    """
    if not samples:
        raise BadData("There are no samples to stack.")
    stacked = []
    for arrays in zip(*samples, strict=True):
        shapes = {array.shape for array in arrays}
        if len(shapes) > 1:
            few = " and ".join(str(shape) for shape in sorted(shapes)[:2])
            raise BadData(
                f"Samples of one batch have different shapes: {few}.",
                "Resize them (an option of the source or of the decode operation), or use a batch size of 1.",
            )
        stacked.append(np.stack(arrays))
    return tuple(stacked)


def _field(raw: Raw, field: Field, chain: Sequence[Step]) -> Array:
    try:
        value = raw.fields[field.name]
    except KeyError:
        raise BadData(f"Sample {raw.id!r} has no field {field.name!r}.", nearest(field.name, raw.fields)) from None
    try:
        for step in chain:
            value = step(value)
        _fits(value, field)
    except DecodeError as error:
        raise BadData(f"Sample {raw.id!r}: {error}.", "Correct or remove it.") from None
    return np.asarray(value)


def _fits(value: Any, field: Field) -> None:
    if not isinstance(value, np.ndarray):
        raise DecodeError(f"field {field.name!r} is {type(value).__name__} after decoding, not an array")
    # A text may be shorter or longer than the training sequences.
    wanted = [None] if field.kind == "tokens" else list(field.shape)
    same = len(wanted) == value.ndim and all(
        want in (None, have) for want, have in zip(wanted, value.shape, strict=True)
    )
    if not same or value.dtype != np.dtype(field.dtype):
        shape = tuple("any" if axis is None else axis for axis in wanted)
        raise DecodeError(
            f"field {field.name!r} decodes to {value.dtype} {value.shape}, the spec says {field.dtype} {shape}"
        )


def _chain(field: Field, ops: Sequence[Op]) -> list[Step]:
    if not ops:
        raise BadUsage(f"preprocess.decode has no operation for field {field.name!r}.", nearest("", OPS))
    return [_step(field, op) for op in ops]


def _step(field: Field, op: Op) -> Step:
    name = str(op.get("op", ""))
    if name not in OPS:
        raise BadUsage(f"Unknown decode operation {name!r} of field {field.name!r}.", nearest(name, OPS))
    make, required, optional = OPS[name]
    given = set(op) - {"op"}
    for key in sorted(given - required - optional):
        raise BadUsage(f"Decode operation {name!r} has no parameter {key!r}.", nearest(key, required | optional))
    for key in sorted(required - given):
        raise BadUsage(f"Decode operation {name!r} of field {field.name!r}: missing parameter {key!r}.")
    return make({key: value for key, value in op.items() if key != "op"})
