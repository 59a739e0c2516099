"""Decoding: raw bytes, table rows and texts become arrays in their storage dtype, by named operations.

Operations are components of plugins with JSON parameters alone, so that an export can carry them and other languages
reimplement them. NumPy and Pillow, no torch: predict and serve decode without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchdog.api import DecoderInfo, Field, Op, Preprocess, Raw, Spec
from benchdog.data.decode.errors import Array, DecodeError, Step
from benchdog.data.decode.text import is_character_vocabulary
from benchdog.errors import BadData, BadUsage, BenchdogError, nearest
from benchdog.plugins import Plugins
from benchdog.plugins.discovery import BUILTIN
from benchdog.plugins.error_origin import machine_fault, third_party_origin
from benchdog.plugins.loading import said
from benchdog.plugins.options import validate
from benchdog.plugins.quarantine import strict
from benchdog.plugins.types import RegisteredComponent

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

    Args:
        plugins: offer the operations; None for Benchdog's own alone.

    Attributes:
        first: the descriptor of each field's first operation: it says what a raw value is.

    Raises:
        BadUsage: an operation or parameter that is unknown or invalid, a parameter that is missing, a field
            without operations.
    """

    def __init__(self, spec: Spec, preprocess: Preprocess, plugins: Plugins | None = None) -> None:
        self.spec, self.preprocess = spec, preprocess
        plugins = plugins or Plugins.builtin()
        names = [field.name for field in spec.fields]
        for name in preprocess.decode:
            if name not in names:
                raise BadUsage(f"preprocess.decode names the unknown field {name!r}.", nearest(name, names))
        self._chains = [build_chain(field, preprocess.decode.get(field.name, ()), plugins) for field in spec.fields]
        self.first: dict[str, DecoderInfo] = {
            field.name: describe(field, preprocess.decode[field.name][0], plugins) for field in spec.fields
        }

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
    except BadData as error:
        hint = error.hint or "Correct or remove it."
        raise BadData(f"Sample {raw.id!r}: {error.message.rstrip('.')}.", hint) from error.__cause__
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


# --- operations: components of plugins -------------------------------------------------------------


def build_chain(field: Field, ops: Sequence[Op], plugins: Plugins) -> list[Step]:
    """Build the operations of a field, in order.

    Raises:
        BadUsage: there are none, or one of them or of its parameters is unknown or invalid.
        NotAvailable: a package that one of them requires isn't installed.
    """
    if not ops:
        known = plugins.all(DecoderInfo.kind)
        raise BadUsage(f"preprocess.decode has no operation for field {field.name!r}.", nearest("", known))
    return [_step(field, op, plugins) for op in ops]


def find_operation(field: Field, op: Op, plugins: Plugins) -> RegisteredComponent:
    """Return the registered operation of a name; a reference such as "package.module:attribute" is never imported.

    Raises:
        BadUsage: no plugin offers it, or two do.
    """
    name, known = str(op.get("op", "")), plugins.all(DecoderInfo.kind)
    offered = {each for found in known.values() for each in (found.info.name, found.where, qualified(found))}
    if name not in offered:
        raise BadUsage(f"Unknown decode operation {name!r} of field {field.name!r}.", nearest(name, known))
    return plugins.find(DecoderInfo.kind, name)


def qualified(found: RegisteredComponent) -> str:
    """Return "plugin:name", by which an operation is found whatever else is installed; a built-in's name alone."""
    return found.info.name if found.dist == BUILTIN else f"{found.plugin}:{found.info.name}"


def describe(field: Field, op: Op, plugins: Plugins) -> DecoderInfo:
    """Return the descriptor of an operation; raises what `find_operation` raises."""
    info = find_operation(field, op, plugins).info
    assert isinstance(info, DecoderInfo)
    return info


def _step(field: Field, op: Op, plugins: Plugins) -> Step:
    found = find_operation(field, op, plugins)
    what = f"Decode operation {found.info.name!r} of field {field.name!r}"
    values = {key: value for key, value in op.items() if key != "op"}
    if not found.info.options and values:
        raise BadUsage(f"{what} takes no options, so not {', '.join(map(repr, values))}.")
    options = [validate(found.resolve(found.info.options), values, what)] if found.info.options else []
    target = found.resolve(found.info.target)
    if found.dist == BUILTIN:
        step: Step = target(*options)
        return step
    try:
        return _guarded(found, target(*options))
    except BenchdogError:
        raise
    except Exception as error:
        raise BadUsage(f"{what} can't be made: {_blamed(found, error)}.", "Correct its parameters.") from error


def _guarded(found: RegisteredComponent, step: Any) -> Step:
    """Return a plugin's operation, of which an exception is an error of the sample that names the plugin."""

    def guarded(value: Any) -> Array:
        try:
            made = step(value)
        except BenchdogError:
            raise
        except Exception as error:
            if strict() or machine_fault(error):
                raise
            raise DecodeError(_blamed(found, error), f"Remove it, or fix the plugin {found.plugin!r}.") from error
        if not isinstance(made, np.ndarray):
            raise DecodeError(
                f"decoder {found.info.name!r} of plugin {found.plugin!r} returned {type(made).__name__}",
                "Its author must return a numpy array.",
            )
        return made

    return guarded


def _blamed(found: RegisteredComponent, error: Exception) -> str:
    place = third_party_origin(error)
    what = f"decoder {found.info.name!r} of plugin {found.plugin!r} raised {said(error)}"
    return f"{what} ({place})" if place else what
