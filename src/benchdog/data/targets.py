"""Targets of samples: stacked, converted to the spec's dtype and checked; no value changes on the way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NoReturn

import numpy as np

from benchdog.api import Raw, Spec
from benchdog.errors import BadData

CODES = ("class", "mask", "next-token")
"""Kinds of targets that are class indices."""


def no_targets(count: int, spec: Spec) -> np.ndarray:
    """Return what stands for the targets of samples that have none: (count, 0)."""
    return np.zeros((count, 0), spec.target.dtype)


def target_arrays(raws: Sequence[Raw], spec: Spec) -> list[np.ndarray]:
    """Return the targets of samples as arrays, in their own dtype: `check_targets` converts them.

    Raises:
        BadData: one is missing, isn't made of numbers or has another shape than the spec says; names the sample.
    """
    arrays = []
    for raw in raws:
        try:
            array = np.asarray(raw.target)
        except ValueError as error:  # lists of different lengths
            _refuse(raw.id, f"a target that is not an array: {error}", spec)
        if array.dtype.kind not in "buif":
            if raw.target is None:
                raise BadData(
                    f"Sample {raw.id} has no target.",
                    'Correct it, or leave the sample out; a source returns such samples as the split "unlabeled".',
                )
            _refuse(raw.id, f"the target {_short(raw.target)}, which is not a number", spec)
        if not _fits(array.shape, spec):
            _refuse(raw.id, f"a target of the shape {array.shape}; the spec says {_wanted(spec)}", spec)
        arrays.append(array)
    return arrays


def stack_targets(targets: Sequence[np.ndarray], name: Callable[[int], str]) -> np.ndarray:
    """Stack targets of one shape: (B, ...). Raises BadData if their shapes differ; names two samples."""
    shapes = [np.shape(target) for target in targets]
    other = next((row for row, shape in enumerate(shapes) if shape != shapes[0]), 0)
    if other:
        raise BadData(
            f"Targets of one batch differ in shape: {shapes[0]} ({name(0)}) and {shapes[other]} ({name(other)}).",
            "Resize them, or use a batch size of 1. A source whose targets vary in length says what fills them up: "
            "Target(shape=(None, ...), padding=-1).",
        )
    return np.stack(targets)


def check_targets(
    target: np.ndarray, spec: Spec, name: Callable[[int], str], ignore: int | None = None
) -> np.ndarray:
    """Return targets in the spec's dtype, checked: some losses silently skip class indices that are none.

    Args:
        target: of samples (B, ...).
        name: returns the id of a row, for the message.
        ignore: a target value of masks or tokens that the task ignores.

    Raises:
        BadData: a shape isn't the spec's, a value would change in its dtype, a number isn't finite, a label is
            neither 0 nor 1, a class index is out of range, a box is none, or a row equals the padding.
    """
    target = np.asarray(target)
    if not len(target):
        return target.astype(spec.target.dtype)
    if not _fits(target.shape[1:], spec):
        _refuse(name(0), f"a target of the shape {target.shape[1:]}; the spec says {_wanted(spec)}", spec)
    target = convert_targets(target, spec, name)
    kind, classes = spec.target.kind, spec.classes
    if kind == "labels":
        _check_rows((target == 0) | (target == 1), target, "a label that is neither 0 nor 1", spec, name)
    elif kind in ("number", "image"):
        _check_rows(np.isfinite(target), target, "a target that is not finite", spec, name)
    elif kind in CODES and classes and target.size and (target.min() < 0 or target.max() >= classes):
        valid = (target >= 0) & (target < classes)
        if ignore is not None and kind != "class":
            valid |= target == ignore
        _check_rows(valid, target, f"a target outside the {classes} classes", spec, name)
    elif kind == "boxes":
        _check_boxes(target, spec, name)
    padding = spec.target.padding
    if padding is not None and not spec.target.real_rows(target).all():
        _check_rows(spec.target.real_rows(target), target, "a row that is all padding in its target", spec, name)
    return target


def _check_boxes(target: np.ndarray, spec: Spec, name: Callable[[int], str]) -> None:
    """Check boxes (B, n, 5): x1, y1, x2, y2 with an area, and a class code."""
    if target.ndim != 3 or target.shape[2] != 5:
        _refuse(name(0), f"boxes of the shape {target.shape[1:]}; boxes are (n, 5)", spec)
    _check_rows(np.isfinite(target), target, "a target that is not finite", spec, name)
    code, valid = target[..., 4], np.ones(target.shape, bool)
    valid[..., 4] = (code >= 0) & (code < spec.classes) & (code == np.floor(code))
    _check_rows(valid, target, f"a box of a class outside the {spec.classes} classes", spec, name)
    valid[..., 2:4] = target[..., 2:4] > target[..., :2]
    _check_rows(valid, target, "a box without an area: its lower right corner is at", spec, name)


def convert_targets(target: np.ndarray, spec: Spec, name: Callable[[int], str]) -> np.ndarray:
    """Return targets (B, ...) in the spec's dtype; a value may change by the rounding of a float alone.

    Raises:
        BadData: a value would change; names the sample.
    """
    dtype = np.dtype(spec.target.dtype)
    if target.dtype == dtype:
        return target
    if target.dtype.kind not in "buif":
        _refuse(name(0), f"a target of {target.dtype}, which is not a number", spec)
    with np.errstate(all="ignore"):
        converted = target.astype(dtype)
    same = np.isfinite(converted) | ~np.isfinite(target) if dtype.kind == "f" else converted == target
    _check_rows(same, target, f"a target that {dtype} can't hold", spec, name)
    return converted


def _check_rows(valid: np.ndarray, target: np.ndarray, fault: str, spec: Spec, name: Callable[[int], str]) -> None:
    """Raise BadData for the first row with a value that isn't valid."""
    if valid.all():
        return
    row = int(np.flatnonzero(~valid.reshape(len(valid), -1).all(1))[0])
    value = target[row][~valid[row]].flat[0]
    _refuse(name(row), f"{fault}: {value:g}", spec)


def _refuse(sample: str, fault: str, spec: Spec) -> NoReturn:
    hints = {
        "class": "A class is its index, from 0 to classes - 1.",
        "mask": "A mask holds a class index per pixel, from 0 to classes - 1, or the value that the task ignores: "
        "convert color masks to one channel, and resize without smoothing.",
        "next-token": "Targets are indices of tokens, from 0 to classes - 1, or the value that the task ignores.",
        "labels": "A label is 1 where it applies, else 0.",
        "boxes": "A box is x1, y1, x2, y2 in pixels with x1 < x2 and y1 < y2, and its class's index from 0 on.",
    }
    hint = hints.get(spec.target.kind, "Correct it, or leave the sample out.")
    raise BadData(f"Sample {sample} has {fault}.", hint)


def _fits(shape: tuple[int, ...], spec: Spec) -> bool:
    wanted = spec.target.shape
    return len(shape) == len(wanted) and all(want in (None, have) for want, have in zip(wanted, shape, strict=True))


def _wanted(spec: Spec) -> tuple[int | str, ...]:
    return tuple("any" if axis is None else axis for axis in spec.target.shape)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
