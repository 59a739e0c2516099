"""What simple ways reach on the same data: without them, a network's number says nothing.

Every line is measured by the task's own meter, on scores shaped like a model's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import prod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchdog.api import BaselineTask, Batch, InvertibleHeadTask, Spec, Task
from benchdog.evaluation import linear_models

Arrays = tuple[tuple[NDArray[Any], ...], NDArray[Any]]
"""A split: transformed inputs, each (N, ...) in the spec's order, and targets (N, ...) in their own units."""

Scorer = Callable[[tuple[NDArray[Any], ...]], Tensor]
"""Gives scores (B, ...) for inputs (B, ...)."""

PIECE = 4_000_000
"""Scores that are computed at once: 16 MB."""

LABELS = 20
"""With more labels than this, no linear model is fitted to each."""

BINS = 256
"""Thresholds that are tried."""

PAIRED = 4096
"""Tokens up to which pairs of them are counted: 128 MB."""


def measure(
    train: Arrays,
    held_out: Arrays,
    spec: Spec,
    task: Task,
    *,
    time_order: bool = False,
    limit: int = 20_000,
    seed: int = 0,
    by: NDArray[Any] | None = None,
) -> list[dict[str, Any]]:
    """Measure the baselines that fit the target: [{"name": "majority class", "metrics": {...}}, ...].

    Args:
        train: what they learn from.
        held_out: what they are judged on.
        spec: of the inputs, with the task's score as its output.
        task: its `meter` measures; for numbers, its `head` says in which units scores are; its `baselines`,
            if it has them, take the place of those here; its `score_of` makes scores of probabilities, where they
            aren't one per class.
        time_order: samples are in the order of time, so the previous target is known.
        limit: the most samples that the linear model and the threshold learn from.
        seed: chooses those samples.
        by: how much the loss of each held-out sample counts; they learn from samples that all count the same.

    Returns:
        One line per baseline; none when a split is empty or the target is of a plugin's own kind.
    """
    if not len(train[1]) or not len(held_out[1]):
        return []
    makers = {"class": _classes, "labels": _labels, "number": _numbers, "mask": _masks, "next-token": _tokens}
    own = task.baselines if isinstance(task, BaselineTask) else None
    if own is None and spec.target.kind not in makers:
        return []
    drawn = _draw(train, limit, seed)
    lines = []
    found = own(drawn[0]).items() if own else makers[spec.target.kind](train, drawn, spec, task)
    for name, scorer in found:
        lines.append({"name": name, "metrics": _metrics(scorer, held_out, spec, task, by)})
    if spec.target.kind == "number" and time_order and not own:
        last = _last_values(train[1], held_out[1])
        lines.insert(1, {"name": "last value", "metrics": _metrics_of(last, held_out, spec, task, by)})
    return lines


def _draw(split: Arrays, limit: int, seed: int) -> Arrays:
    """Draw at most `limit` samples, in their order."""
    inputs, target = split
    if len(target) <= limit:
        return split
    chosen = np.sort(np.random.default_rng(seed).permutation(len(target))[:limit])
    return tuple(x[chosen] for x in inputs), target[chosen]


# --- measuring -------------------------------------------------------------------------------------


def _pieces(target: NDArray[Any], width: int) -> Iterator[slice]:
    step = max(1, PIECE // max(width, 1))
    return (slice(start, start + step) for start in range(0, len(target), step))


def _metrics(scorer: Scorer, split: Arrays, spec: Spec, task: Task, by: NDArray[Any] | None = None) -> dict[str, Any]:
    """Score a split piece by piece and give the meter's value."""
    inputs, target = split
    meter = task.meter(spec)
    for piece in _pieces(target, prod(target.shape[1:]) * max(spec.classes, 1)):
        score = scorer(tuple(x[piece] for x in inputs))
        meter.add(score.float(), _batch(target, spec, by, piece))
    return meter.value()


def _metrics_of(
    values: NDArray[Any], split: Arrays, spec: Spec, task: Task, by: NDArray[Any] | None = None
) -> dict[str, Any]:
    """Measure answers (N, k) that are there already."""
    meter = task.meter(spec)
    score = _score_of(values, spec, task)
    meter.add(score, _batch(split[1], spec, by))
    return meter.value()


def _batch(target: NDArray[Any], spec: Spec, by: NDArray[Any] | None, rows: slice = slice(None)) -> Batch:
    """Give some of the samples as a meter takes them."""
    dtype = np.float32 if spec.target.kind in ("number", "labels") else np.int64
    truth = torch.from_numpy(np.ascontiguousarray(target[rows], dtype=dtype))
    return Batch(inputs=(), target=truth, weight=None if by is None else torch.from_numpy(by[rows]))


# --- classes ---------------------------------------------------------------------------------------


def _classes(train: Arrays, drawn: Arrays, spec: Spec, task: Task) -> Iterator[tuple[str, Scorer]]:
    """Offer the training split's frequencies, and a linear model."""
    made = task.score_of if isinstance(task, InvertibleHeadTask) else None
    if made is None and spec.output not in ((), (spec.classes,)):
        return  # nobody says how scores come from probabilities

    def score(logs: Tensor) -> Tensor:
        return logs if made is None else made(logs.exp())

    counts = np.bincount(train[1].astype(np.int64), minlength=spec.classes)
    yield "majority class", _constant(score(_log_shares(counts).unsqueeze(0))[0])
    see = linear_models.features(drawn[0], spec)
    x = see(drawn[0])
    if x.shape[1]:
        weight, bias = linear_models.logistic(x, torch.from_numpy(drawn[1].astype(np.int64)), spec.classes)
        yield "linear model", lambda inputs: score(torch.log_softmax(see(inputs) @ weight + bias, 1))


def _labels(train: Arrays, drawn: Arrays, spec: Spec, task: Task) -> Iterator[tuple[str, Scorer]]:
    """Offer how often each label is true, and a linear model of each."""
    true = train[1].astype(np.float64).sum(0)
    yield "base rates", _constant(torch.from_numpy((true + 1) / (len(train[1]) + 2)).logit().float())
    see = linear_models.features(drawn[0], spec)
    x = see(drawn[0])
    if x.shape[1] and spec.classes <= LABELS:
        fitted = [linear_models.logistic(x, torch.from_numpy(t.astype(np.int64)), 2) for t in drawn[1].T]
        weight, bias = (
            torch.stack([part[..., 1] - part[..., 0] for part in parts], -1) for parts in zip(*fitted, strict=True)
        )
        yield "linear model", lambda inputs: see(inputs) @ weight + bias


def _log_shares(counts: NDArray[Any]) -> Tensor:
    """Give log-probabilities from counts, one added to each so that none is impossible."""
    shares = (counts + 1.0) / (counts + 1.0).sum(-1, keepdims=True)
    return torch.from_numpy(np.log(shares)).float()


def _constant(score: Tensor) -> Scorer:
    return lambda inputs: score.expand(len(inputs[0]), *score.shape).clone()


# --- numbers ---------------------------------------------------------------------------------------


def _numbers(train: Arrays, drawn: Arrays, spec: Spec, task: Task) -> Iterator[tuple[str, Scorer]]:
    """Offer the training mean, and a linear model."""
    mean = _flat(train[1]).mean(0, keepdims=True)
    yield "mean", _constant(_score_of(mean, spec, task)[0])
    see = linear_models.features(drawn[0], spec)
    x = see(drawn[0])
    if x.shape[1]:
        weight, bias = linear_models.ridge(x, torch.from_numpy(_flat(drawn[1])))

        def score(inputs: tuple[NDArray[Any], ...]) -> Tensor:
            return _score_of((see(inputs).double() @ weight + bias).numpy(), spec, task)

        yield "linear model", score


def _flat(target: NDArray[Any]) -> NDArray[np.float64]:
    return target.reshape(len(target), -1).astype(np.float64)


def _score_of(values: NDArray[Any], spec: Spec, task: Task) -> Tensor:
    """Bring values (N, k) in the target's units to the score from which the task's head makes them.

    A head of numbers is affine, value by value: two probes tell its shift and its scale.
    """
    probe = torch.zeros(2, values.shape[1])
    probe[1] = 1.0
    with torch.no_grad():
        zero, one = task.head(spec)(probe).double()
    scale = one - zero
    # A constant target: whatever the score, its value is the shift.
    scale = torch.where(scale == 0, torch.ones_like(scale), scale)
    score: Tensor = (torch.from_numpy(np.asarray(values, np.float64)) - zero) / scale
    return score.float()


def _last_values(train: NDArray[Any], held_out: NDArray[Any]) -> NDArray[np.float64]:
    """Answer what was true one step before.

    Of a target that reaches several steps ahead, (N, k), only the first step is past by then: it is
    answered for every step.
    """
    before = np.concatenate([_flat(train[-1:]), _flat(held_out[:-1])])
    return np.repeat(before[:, :1], before.shape[1], axis=1)


# --- masks -----------------------------------------------------------------------------------------


def _masks(train: Arrays, drawn: Arrays, spec: Spec, task: Task) -> Iterator[tuple[str, Scorer]]:
    """Offer the commonest class for every pixel, and one threshold on the first channel."""
    codes = train[1].astype(np.int64).ravel()
    counts = np.bincount(codes[codes < spec.classes], minlength=spec.classes)  # others are ignored ones
    shares = _log_shares(counts)

    def majority(inputs: tuple[NDArray[Any], ...]) -> Tensor:
        size = inputs[0].shape[2:]
        return shares.view(1, -1, *(1 for _ in size)).expand(len(inputs[0]), -1, *size).clone()

    yield "majority class", majority
    if spec.classes == 2:
        edge, below, above = _threshold(drawn[0][0][:, 0], drawn[1])

        def threshold(inputs: tuple[NDArray[Any], ...]) -> Tensor:
            bright = torch.from_numpy(np.ascontiguousarray(inputs[0][:, 0] > edge))
            return torch.where(bright.unsqueeze(1), _upright(above, bright), _upright(below, bright))

        yield "threshold", threshold


def _upright(score: Tensor, like: Tensor) -> Tensor:
    return score.view(1, -1, *(1 for _ in like.shape[1:]))


def _threshold(values: NDArray[Any], masks: NDArray[Any]) -> tuple[float, Tensor, Tensor]:
    """Find the value that parts the two classes best, by the foreground's IoU.

    Returns:
        the threshold, and the log-probabilities (2,) of what is not above it and of what is.
    """
    low, high = float(values.min()), float(values.max())
    edges = np.linspace(low, high if high > low else low + 1.0, BINS + 1)
    # (class, bin): from the counts up to each edge follows every threshold's IoU at once.
    counts = np.stack([np.histogram(values[masks == k], edges)[0] for k in (0, 1)]).astype(np.float64)
    below = counts.cumsum(1)[:, :-1]
    total = counts.sum(1, keepdims=True)
    above = total - below
    iou = np.stack([side[1] / np.maximum(total[1] + side[0], 1.0) for side in (below, above)])
    side, place = np.unravel_index(int(iou.argmax()), iou.shape)
    parts = below[:, place], above[:, place]
    scores = []
    for i, part in enumerate(parts):
        foreground = (part[1] + 1.0) / (part.sum() + 2.0)
        # The side that was found to be foreground is called so, however unsure it is.
        low, high = (0.501, 0.999) if i == side else (0.001, 0.499)
        foreground = float(np.clip(foreground, low, high))
        scores.append(torch.log(torch.tensor([1.0 - foreground, foreground])))
    return float(edges[place + 1]), scores[0], scores[1]


# --- tokens ----------------------------------------------------------------------------------------


def _tokens(train: Arrays, drawn: Arrays, spec: Spec, task: Task) -> Iterator[tuple[str, Scorer]]:
    """Offer how often each token comes, and how often it comes after the one before."""
    (before, *_), after = train
    vocabulary = spec.classes
    known = (after >= 0) & (after < vocabulary)  # others are ignored ones
    before, after = before[known], after[known]
    if vocabulary > PAIRED:
        alone = _log_shares(np.bincount(after.astype(np.int64).ravel(), minlength=vocabulary))
        yield "unigram", lambda inputs: alone.expand(*inputs[0].shape, vocabulary).clone()
        return
    pairs = np.bincount(
        before.astype(np.int64).ravel() * vocabulary + after.astype(np.int64).ravel(), minlength=vocabulary**2
    ).reshape(vocabulary, vocabulary)
    unigram, bigram = _log_shares(pairs.sum(0)), _log_shares(pairs)

    def common(inputs: tuple[NDArray[Any], ...]) -> Tensor:
        return unigram.expand(*inputs[0].shape, vocabulary).clone()

    yield "unigram", common
    yield "bigram", lambda inputs: bigram[torch.from_numpy(inputs[0].astype(np.int64))]
