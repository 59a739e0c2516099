"""Verification of a runner against its reference: scores, predictions and labels, in several batch sizes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchdog.api import Runner, Spec
from benchdog.data.synthetic import cycled_rows

ABSOLUTE, RELATIVE = 1e-4, 1e-3
SINGLES = 8  # samples that are run one by one at batch 1

Array = np.ndarray[Any, np.dtype[Any]]
Reference = Callable[..., tuple[Array, Array]]


def verify(
    runner: Runner,
    reference: Reference,
    arrays: tuple[Array, ...],
    spec: Spec,
    max_batch: int,
    head: Callable[[Array], Array] | None = None,
) -> list[dict[str, Any]]:
    """Run both at batch 1, 2, a middle and the largest size; free axes of tokens at several lengths.

    Args:
        runner: what is to be verified; decoded numpy in, (answer, score) numpy out.
        reference: what it must agree with.
        arrays: decoded samples (samples, ...) per field; repeated to fill a batch.
        head: the reference's, from scores to answers, if it can be had. Where answers are in an order, two scores
            that are nearly equal may swap places: answers also agree if they are what this head makes of the
            runner's own scores.

    Returns:
        A line per batch size: batch, length (of tokens, or None), max_abs_diff, max_rel_diff,
        labels_equal, ok, and why when it isn't. A runner that raises gives a line that isn't ok.
    """
    sizes = sorted({size for size in (1, 2, max_batch // 2 + 1, max_batch) if 1 <= size <= max_batch})
    lines = []
    for place, size in enumerate(sizes):
        calls = min(SINGLES, len(arrays[0])) if size == 1 else 1
        parts = []
        for call in range(calls):
            given, length = _cropped(cycled_rows(arrays, size, call * size), spec, place)
            parts.append(_compare(runner, reference, given, spec, head))
            if parts[-1].get("why"):
                break
        lines.append({"batch": size, "length": length, **_merged(parts)})
    return lines


def _cropped(arrays: tuple[Array, ...], spec: Spec, place: int) -> tuple[tuple[Array, ...], int | None]:
    """Shorten free axes of tokens: all of them, then one, then half, then all again."""
    length: int | None = None
    cut = []
    for x, field in zip(arrays, spec.fields, strict=True):
        if field.kind == "tokens" and field.shape[-1] is None:
            length = [x.shape[-1], 1, max(1, x.shape[-1] // 2), x.shape[-1]][place % 4]
            x = np.ascontiguousarray(x[..., :length])
        cut.append(x)
    return tuple(cut), length


def _compare(
    runner: Runner,
    reference: Reference,
    given: tuple[Array, ...],
    spec: Spec,
    head: Callable[[Array], Array] | None,
) -> dict[str, Any]:
    wanted = reference(*(x.copy() for x in given))
    try:
        got = runner(*(x.copy() for x in given))
        answer, score = (np.asarray(x) for x in got)
    except Exception as error:  # whatever a format's runtime raises means that it can't take this batch
        reason = " ".join(str(error).split())[:300]
        return {"why": f"the runner raised {type(error).__name__}: {reason}"}
    for what, have, want in (("answer", answer, wanted[0]), ("score", score, wanted[1])):
        if have.shape != want.shape:
            return {"why": f"the {what} has shape {have.shape} and not {want.shape}"}
    if wanted[1].dtype == np.float32 and score.dtype != np.float32:
        return {"why": f"the score is {score.dtype} and not float32"}
    difference, relative, close = _distance(score, wanted[1])
    equal = _labels(score, wanted[1], spec)
    line: dict[str, Any] = {"max_abs_diff": difference, "max_rel_diff": relative, "labels_equal": equal}
    if not close:
        line["why"] = f"scores differ by up to {difference:.3g}"
    elif not equal:
        line["why"] = "labels differ where the scores leave no doubt"
    elif not _same_answers(answer, wanted[0]) and not (head and _same_answers(answer, head(score))):
        line["why"] = "answers differ where scores agree"
    return line


def _distance(have: Array, want: Array) -> tuple[float, float, bool]:
    """Return the largest absolute and relative difference, and whether all are within the limits."""
    a, b = have.astype(np.float64), want.astype(np.float64)
    finite = np.isfinite(b)
    if not (np.array_equal(finite, np.isfinite(a)) and np.array_equal(a[~finite], b[~finite], equal_nan=True)):
        return float("inf"), float("inf"), False
    off, size = np.abs(a[finite] - b[finite]), np.abs(b[finite])
    if not off.size:
        return 0.0, 0.0, True
    relative = off / np.maximum(size, ABSOLUTE)
    return float(off.max()), float(relative.max()), bool((off <= ABSOLUTE + RELATIVE * size).all())


def _labels(have: Array, want: Array, spec: Spec) -> bool:
    """Return whether labels agree wherever the reference's margin is larger than the limits allow to blur."""
    axis = class_axis(spec)
    if spec.target.kind == "labels":  # each by its own sign
        sure = np.abs(want) > ABSOLUTE + RELATIVE * np.abs(want)
        return bool(((have > 0) == (want > 0))[sure].all())
    if axis is None:
        return True
    if want.shape[axis] == 1:  # one score for two classes: its sign decides
        unsure = np.abs(want) <= ABSOLUTE
        return bool(((have > 0) == (want > 0))[~unsure].all())
    top = np.sort(want.astype(np.float64), axis)
    first, second = top.take(-1, axis), top.take(-2, axis)
    sure = first - second > 2 * ABSOLUTE + RELATIVE * (np.abs(first) + np.abs(second))
    return bool((have.argmax(axis) == want.argmax(axis))[sure].all())


def class_axis(spec: Spec) -> int | None:
    """Return the axis of the classes in a batch of scores; None when there are no classes."""
    if spec.target.kind in ("number", "labels", "boxes"):  # its classes are names of values, or no choice
        return None
    classes = [axis for axis, length in enumerate(spec.output, start=1) if length == spec.classes and length]
    if classes:
        return classes[-1] if spec.target.kind == "next-token" else classes[0]
    return 1 if spec.classes == 2 and spec.output[:1] == (1,) else None


def _same_answers(have: Array, want: Array) -> bool:
    """Compare answers, in the target's own units: limits grow with the largest value."""
    if want.dtype.kind != "f":
        return True  # codes: compared as labels, where the margin is large enough
    scale = max(1.0, float(np.abs(want[np.isfinite(want)]).max(initial=0.0)))
    return bool(np.allclose(have, want, rtol=RELATIVE, atol=ABSOLUTE * scale, equal_nan=True))


def _merged(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Combine calls at one batch size: the worst of each."""
    why = next((part["why"] for part in parts if "why" in part), None)
    numbers = {
        key: max((part[key] for part in parts if key in part), default=None)
        for key in ("max_abs_diff", "max_rel_diff")
    }
    equal = all(part.get("labels_equal", False) for part in parts)
    return {**numbers, "labels_equal": equal, "ok": why is None, **({"why": why} if why else {})}
