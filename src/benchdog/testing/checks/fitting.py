"""Whether a sample is what its source's spec says."""

from __future__ import annotations

import numpy as np

from benchdog.api import Preprocess, Raw, Spec
from benchdog.data.dataset import check_targets
from benchdog.data.decode.decoder import Decoder
from benchdog.errors import BenchdogError
from benchdog.testing.runner.results import Fault


def fits(spec: Spec, preprocess: Preprocess, split: str, raw: Raw, where: str) -> None:
    """Check that one sample is what the spec says."""
    try:
        arrays = Decoder(spec, preprocess)(raw)
    except BenchdogError as error:
        raise Fault(
            f"The spec disagrees with {split}: {error.message}", "Fix spec() or the samples.", where
        ) from None
    for field, array in zip(spec.fields, arrays, strict=True):
        if field.range is None or not array.size:
            continue
        low, high = float(np.nanmin(array)), float(np.nanmax(array))
        if low < field.range[0] or high > field.range[1]:
            raise Fault(
                f"Sample {raw.id!r} of {split}: field {field.name!r} reaches from {low:g} to {high:g}, the spec says "
                f"{field.range[0]:g} to {field.range[1]:g}.",
                "Set Field(range=...) to the smallest and largest value that can come, or leave it out.",
                where,
            )
    _target(spec, split, raw, where)


def _target(spec: Spec, split: str, raw: Raw, where: str) -> None:
    said_of = spec.target
    remedy = "Fix Target(...) in spec(), or the samples' target."
    try:
        given = np.asarray(raw.target)
        value = np.asarray(raw.target, dtype=np.dtype(said_of.dtype))
        check_targets(value[None], spec, lambda _: raw.id)
    except BenchdogError as error:
        raise Fault(f"The spec disagrees with {split}: {error.message}", remedy, where) from None
    except (TypeError, ValueError) as error:
        raise Fault(
            f"Sample {raw.id!r} of {split}: its target is no {said_of.dtype}: {error}.", remedy, where
        ) from None
    if given.dtype.kind == "f" and value.dtype.kind in "iu" and not np.array_equal(given, value):
        raise Fault(
            f"Sample {raw.id!r} of {split}: its target {raw.target!r} is cut to {said_of.dtype}.", remedy, where
        )
    fits = value.ndim == len(said_of.shape) and all(
        want in (None, have) for want, have in zip(said_of.shape, value.shape, strict=False)
    )
    if not fits:
        raise Fault(
            f"Sample {raw.id!r} of {split}: its target has the shape {value.shape}, the spec says {said_of.shape}.",
            remedy,
            where,
        )
