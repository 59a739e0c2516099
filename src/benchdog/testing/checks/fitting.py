"""Whether a sample is what its source's spec says."""

from __future__ import annotations

import numpy as np

from benchdog.api import Raw, Spec
from benchdog.data.collate import Collate, check_padding
from benchdog.data.decode.decoder import Decoder
from benchdog.errors import BenchdogError
from benchdog.testing.runner.results import Fault


def fits(spec: Spec, decoder: Decoder, split: str, raw: Raw, where: str) -> None:
    """Check that one sample is what the spec says."""
    try:
        arrays = decoder(raw)
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
    try:
        check_padding(spec.target)
        Collate(spec).raws([raw])
    except BenchdogError as error:
        raise Fault(
            f"The spec disagrees with {split}: {error.message}",
            "Fix Target(...) in spec(), or the samples' target.",
            where,
        ) from None
