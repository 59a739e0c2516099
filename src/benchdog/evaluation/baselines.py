"""Baselines: what simple models reach on the same data.

Every one is measured by the task's own meter, on scores shaped like a model's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import prod
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchdog.api import BaselineTask, Batch, InvertibleHeadTask, Spec, Task
from benchdog.evaluation import linear_models
from benchdog.evaluation.batches import NO_INPUTS
from benchdog.evaluation.results import Baseline

Arrays = tuple[tuple[NDArray[Any], ...], NDArray[Any]]
"""A split: transformed inputs, each (N, ...) in the spec's order, and targets (N, ...) in their own units."""

Scorer = Callable[[tuple[NDArray[Any], ...]], Tensor]
"""Returns scores (B, ...) for inputs (B, ...)."""

CHUNK = 4_000_000
"""Scores that are computed at once: 16 MB."""

LABELS = 20
"""The most labels that a linear model is fitted to each of."""

BINS = 256
"""Candidate thresholds."""

PROBED, SAME = 64, 1e-4
"""Images that are compared with their targets, and the error of the range below which they are the same."""

PAIRED = 4096
"""The largest vocabulary whose pairs of tokens are counted: 128 MB."""


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
) -> list[Baseline]:
    """Measure the baselines that fit the target: [{"name": "majority class", "metrics": {...}}, ...].

    Args:
        train: what they are fitted to.
        held_out: what they are evaluated on.
        spec: of the inputs, with the task's score as its output.
        task: its `meter` measures; for numbers, its `head` defines the units of scores; its `baselines`, if it
            has them, replace those here; its `score_of` converts probabilities to scores, where these aren't one
            per class.
        time_order: samples are in time order, so the previous target is known.
        limit: the most samples that the linear model and the threshold are fitted to.
        seed: selects those samples.
        by: sample weights of the held-out samples; the baselines are fitted without weights.

    Returns:
        Baselines with their metrics; none when a split is empty, or where `declared_scores.why_none` says why.
    """
    if not len(train[1]) or not len(held_out[1]):
        return []
    own = task.baselines if isinstance(task, BaselineTask) else None
    if own is None and spec.target.kind not in MAKERS:
        return []
    drawn = _draw(train, limit, seed)
    lines: list[Baseline] = []
    models = own(drawn[0]).items() if own else MAKERS[spec.target.kind](train, drawn, spec, task)
    for name, scorer in models:
        lines.append({"name": name, "metrics": metrics(scorer, held_out, spec, task, by)})
    if spec.target.kind == "number" and time_order and not own:
        last = _last_values(train[1], held_out[1])
        lines.insert(1, {"name": "last value", "metrics": _metrics_of(last, held_out, spec, task, by)})
    return lines


def _draw(split: Arrays, limit: int, seed: int) -> Arrays:
    """Select at most `limit` samples at random, in their order."""
    inputs, target = split
    if len(target) <= limit:
        return split
    chosen = np.sort(np.random.default_rng(seed).permutation(len(target))[:limit])
    return tuple(x[chosen] for x in inputs), target[chosen]


# --- measuring -------------------------------------------------------------------------------------


def _chunks(target: NDArray[Any], width: int) -> Iterator[slice]:
    step = max(1, CHUNK // max(width, 1))
    return (slice(start, start + step) for start in range(0, len(target), step))


def metrics(scorer: Scorer, split: Arrays, spec: Spec, task: Task, by: NDArray[Any] | None = None) -> dict[str, Any]:
    """Score a split in chunks and return the meter's value."""
    inputs, target = split
    meter = task.meter(spec)
    for chunk in _chunks(target, prod(target.shape[1:]) * max(spec.classes, 1)):
        score = scorer(tuple(x[chunk] for x in inputs))
        meter.add(score.float(), _batch(target, spec, by, chunk))
    return meter.value()


def _metrics_of(
    values: NDArray[Any], split: Arrays, spec: Spec, task: Task, by: NDArray[Any] | None = None
) -> dict[str, Any]:
    """Measure predictions (N, k), in the target's units."""
    return metrics_of_scores(score_of(values, spec, task), split, spec, task, by)


def metrics_of_scores(
    score: Tensor, split: Arrays, spec: Spec, task: Task, by: NDArray[Any] | None = None
) -> dict[str, Any]:
    """Measure scores (N, ...)."""
    meter = task.meter(spec)
    meter.add(score, _batch(split[1], spec, by))
    return meter.value()


def _batch(target: NDArray[Any], spec: Spec, by: NDArray[Any] | None, rows: slice = slice(None)) -> Batch:
    """Return some of the samples as a meter takes them."""
    dtype = np.float32 if spec.target.kind in ("number", "labels", "image") else np.int64
    truth = torch.from_numpy(np.ascontiguousarray(target[rows], dtype=dtype))
    return Batch(inputs=NO_INPUTS, target=truth, weight=None if by is None else torch.from_numpy(by[rows]))


# --- classes ---------------------------------------------------------------------------------------


def _classes(train: Arrays, drawn: Arrays, spec: Spec, task: Task) -> Iterator[tuple[str, Scorer]]:
    """Yield the training split's class frequencies, and a linear model."""
    to_scores = task.score_of if isinstance(task, InvertibleHeadTask) else None
    if to_scores is None and spec.output not in ((), (spec.classes,)):
        return  # the task doesn't define how scores follow from probabilities

    def score(logs: Tensor) -> Tensor:
        return logs if to_scores is None else to_scores(logs.exp())

    counts = np.bincount(train[1].astype(np.int64), minlength=spec.classes)
    yield "majority class", _constant(score(_log_shares(counts).unsqueeze(0))[0])
    features = linear_models.features(drawn[0], spec)
    x = features(drawn[0])
    if x.shape[1]:
        weight, bias = linear_models.logistic(x, torch.from_numpy(drawn[1].astype(np.int64)), spec.classes)
        yield "linear model", lambda inputs: score(torch.log_softmax(features(inputs) @ weight + bias, 1))


def _labels(train: Arrays, drawn: Arrays, spec: Spec, task: Task) -> Iterator[tuple[str, Scorer]]:
    """Yield how often each label is true, and a linear model of each."""
    true = train[1].astype(np.float64).sum(0)
    yield "base rates", _constant(torch.from_numpy((true + 1) / (len(train[1]) + 2)).logit().float())
    features = linear_models.features(drawn[0], spec)
    x = features(drawn[0])
    if x.shape[1] and spec.classes <= LABELS:
        fitted = [linear_models.logistic(x, torch.from_numpy(t.astype(np.int64)), 2) for t in drawn[1].T]
        weight, bias = (
            torch.stack([part[..., 1] - part[..., 0] for part in parts], -1) for parts in zip(*fitted, strict=True)
        )
        yield "linear model", lambda inputs: features(inputs) @ weight + bias


def _log_shares(counts: NDArray[Any]) -> Tensor:
    """Return log-probabilities from counts, with add-one smoothing."""
    shares = (counts + 1.0) / (counts + 1.0).sum(-1, keepdims=True)
    return torch.from_numpy(np.log(shares)).float()


def _constant(score: Tensor) -> Scorer:
    return lambda inputs: score.expand(len(inputs[0]), *score.shape).clone()


# --- numbers ---------------------------------------------------------------------------------------


def _numbers(train: Arrays, drawn: Arrays, spec: Spec, task: Task) -> Iterator[tuple[str, Scorer]]:
    """Yield the training mean, and a linear model."""
    mean = flat(train[1]).mean(0, keepdims=True)
    yield "mean", _constant(score_of(mean, spec, task)[0])
    features = linear_models.features(drawn[0], spec)
    x = features(drawn[0])
    if x.shape[1]:
        weight, bias = linear_models.ridge(x, torch.from_numpy(flat(drawn[1])))

        def score(inputs: tuple[NDArray[Any], ...]) -> Tensor:
            return score_of((features(inputs).double() @ weight + bias).numpy(), spec, task)

        yield "linear model", score


def flat(target: NDArray[Any]) -> NDArray[np.float64]:
    """Flatten each sample's target: (N, k)."""
    return target.reshape(len(target), -1).astype(np.float64)


def score_of(values: NDArray[Any], spec: Spec, task: Task) -> Tensor:
    """Convert values (N, k) in the target's units to the scores that the task's head maps to them.

    A regression head is affine, value by value: two probes determine its shift and its scale.
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
    """Predict the previous target.

    Of a target that reaches several steps ahead, (N, k), only the first step is known by then: it is predicted for
    every step.
    """
    before = np.concatenate([flat(train[-1:]), flat(held_out[:-1])])
    return np.repeat(before[:, :1], before.shape[1], axis=1)


# --- masks -----------------------------------------------------------------------------------------


def _masks(train: Arrays, drawn: Arrays, spec: Spec, task: Task) -> Iterator[tuple[str, Scorer]]:
    """Yield the most frequent class for every pixel, and a threshold on the first channel."""
    codes = train[1].astype(np.int64).ravel()
    counts = np.bincount(codes[codes < spec.classes], minlength=spec.classes)  # the others are ignored
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
    """Find the threshold that separates the two classes best, by the foreground's IoU.

    Returns:
        the threshold, and the log-probabilities (2,) of what is not above it and of what is.
    """
    low, high = float(values.min()), float(values.max())
    edges = np.linspace(low, high if high > low else low + 1.0, BINS + 1)
    # (class, bin): the counts up to each edge give every threshold's IoU at once.
    counts = np.stack([np.histogram(values[masks == k], edges)[0] for k in (0, 1)]).astype(np.float64)
    below = counts.cumsum(1)[:, :-1]
    total = counts.sum(1, keepdims=True)
    above = total - below
    iou = np.stack([side[1] / np.maximum(total[1] + side[0], 1.0) for side in (below, above)])
    side, edge = np.unravel_index(int(iou.argmax()), iou.shape)
    parts = below[:, edge], above[:, edge]
    scores = []
    for i, part in enumerate(parts):
        foreground = (part[1] + 1.0) / (part.sum() + 2.0)
        # The foreground's side is predicted as such, however low its probability.
        low, high = (0.501, 0.999) if i == side else (0.001, 0.499)
        foreground = float(np.clip(foreground, low, high))
        scores.append(torch.log(torch.tensor([1.0 - foreground, foreground])))
    return float(edges[edge + 1]), scores[0], scores[1]


# --- images ----------------------------------------------------------------------------------------


def _images(train: Arrays, drawn: Arrays, spec: Spec, task: Task) -> Iterator[tuple[str, Scorer]]:
    """Yield the mean training image, and the input in the target's brightness; neither for heads of other kinds."""
    probe = torch.stack([torch.full(drawn[1].shape[1:], share) for share in (0.0, 0.5, 1.0)])
    try:
        with torch.no_grad():
            low, middle, high = task.head(spec)(probe).double().flatten(1).unbind()
    except Exception:  # a third party's head, of scores with another shape
        return
    scale = high - low
    affine = low.shape == middle.shape == (drawn[1][0].size,) and torch.allclose(low + scale / 2, middle)
    if not affine or not bool((scale == scale[0]).all()) or not scale[0]:
        return
    zero, unit = float(low[0]), float(scale[0])
    mean = (train[1].mean(0, dtype=np.float64) - zero) / unit
    yield "mean image", _constant(torch.from_numpy(mean).float())
    x, y = drawn[0][0], drawn[1]
    if x.shape == y.shape:
        slope, offset = _line_by_channel(x, (y - zero) / unit)
        left = torch.from_numpy(x[:PROBED]) * slope + offset - torch.from_numpy((y[:PROBED] - zero) / unit)
        if float(left.abs().max()) > SAME:  # an autoencoder's target is its input
            yield "rescaled input", lambda inputs: torch.from_numpy(inputs[0]) * slope + offset


def _line_by_channel(x: NDArray[Any], y: NDArray[Any]) -> tuple[Tensor, Tensor]:
    """Fit y = slope x + offset to the pixels of each channel, images (N, C, H, W); return both, (C, 1, 1)."""
    sums = np.zeros((4, x.shape[1]))
    for a, b in zip(x.astype(np.float64), y, strict=True):
        sums += [each.sum((1, 2)) for each in (a, b, a * a, a * b)]
    n = x.size / x.shape[1]
    spread = sums[2] - sums[0] ** 2 / n
    slope = np.where(spread > 0, sums[3] - sums[0] * sums[1] / n, 0.0) / np.where(spread > 0, spread, 1.0)
    line = torch.from_numpy(np.stack([slope, (sums[1] - slope * sums[0]) / n])).float()
    return line[0].view(-1, 1, 1), line[1].view(-1, 1, 1)


# --- tokens ----------------------------------------------------------------------------------------


def _tokens(train: Arrays, drawn: Arrays, spec: Spec, task: Task) -> Iterator[tuple[str, Scorer]]:
    """Yield token frequencies, and those after the previous token."""
    (before, *_), after = train
    vocabulary = spec.classes
    known = (after >= 0) & (after < vocabulary)  # the others are ignored
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


MAKERS: Final = {
    "class": _classes,
    "labels": _labels,
    "number": _numbers,
    "mask": _masks,
    "image": _images,
    "next-token": _tokens,
}
"""Benchdog's baselines by the kind of target; the first of each is a constant."""
