"""Linear models that fit themselves: deterministic, on the CPU, in seconds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from benchdog.api import Spec

Features = Callable[[tuple[NDArray[Any], ...]], Tensor]

WIDEST = 1024
"""Features per field; a larger picture is averaged over blocks, which still is a linear model."""

PENALTIES = (10.0, 1.0, 1e-1, 1e-2, 1e-3, 1e-4)
"""L2 penalties that are tried, relative to the mean loss, from stiff to loose."""

HELD_BACK = 10
"""One sample in so many chooses the penalty."""

ROUNDS = 30
"""Iterations of LBFGS per penalty; each begins where the stiffer one ended."""


def features(inputs: Sequence[NDArray[Any]], spec: Spec) -> Features:
    """Decide from training inputs what a linear model sees: (B, width) float32, centered.

    Tokens are counted; pictures and sounds are averaged over blocks until they are narrow enough.
    """
    makers: list[Callable[[NDArray[Any]], NDArray[np.float32]]] = []
    for x, field in zip(inputs, spec.fields, strict=True):
        if field.kind == "tokens":
            makers.append(_counter(min(int(x.max(initial=0)) + 1, WIDEST)))
        elif any(column.categories for column in field.columns):
            makers.append(_one_hot([len(column.categories) for column in field.columns]))
        else:
            makers.append(_blocks(x.shape[1:]))
    means = [make(x).mean(0, dtype=np.float64).astype(np.float32) for make, x in zip(makers, inputs, strict=True)]

    def see(given: tuple[NDArray[Any], ...]) -> Tensor:
        parts = [make(x) - mean for make, x, mean in zip(makers, given, means, strict=True)]
        return torch.from_numpy(np.concatenate(parts, 1))

    return see


def _counter(codes: int) -> Callable[[NDArray[Any]], NDArray[np.float32]]:
    """Return a function that counts tokens: (B, T) -> (B, codes), each row summing to 1 or less."""

    def count(x: NDArray[Any]) -> NDArray[np.float32]:
        rows = np.repeat(np.arange(len(x)), x.shape[1])
        flat = x.astype(np.int64).ravel()
        known = (flat >= 0) & (flat < codes)
        counts = np.bincount(rows[known] * codes + flat[known], minlength=len(x) * codes)
        shares: NDArray[np.float32] = (counts.reshape(len(x), codes) / max(x.shape[1], 1)).astype(np.float32)
        return shares

    return count


def _one_hot(categories: Sequence[int]) -> Callable[[NDArray[Any]], NDArray[np.float32]]:
    """Return a function that takes codes of categories apart: (B, columns) -> (B, width)."""
    pairs = [(i, code) for i, count in enumerate(categories) for code in range(1, count + 1)]
    numbers = [i for i, count in enumerate(categories) if not count]
    places, codes = np.array([i for i, _ in pairs]), np.array([code for _, code in pairs], np.float32)

    def apart(x: NDArray[Any]) -> NDArray[np.float32]:
        return np.concatenate([x[:, numbers], x[:, places] == codes], 1).astype(np.float32)

    return apart


def _blocks(shape: tuple[int, ...]) -> Callable[[NDArray[Any]], NDArray[np.float32]]:
    """Return a function that averages over blocks of the axes after the channels, and flattens."""
    size = 1
    while len(shape) > 1 and size < max(shape[1:]) and _width(shape, size) > WIDEST:
        size += 1

    def average(x: NDArray[Any]) -> NDArray[np.float32]:
        whole = np.nan_to_num(x.astype(np.float32, copy=False))
        for axis in range(2, whole.ndim) if size > 1 else ():
            whole = np.add.reduceat(whole, np.arange(0, whole.shape[axis], size), axis=axis)
        flat: NDArray[np.float32] = whole.reshape(len(x), -1) / np.float32(size ** max(x.ndim - 2, 0))
        return flat

    return average


def _width(shape: tuple[int, ...], size: int) -> int:
    width = shape[0]
    for axis in shape[1:]:
        width *= -(-axis // size)
    return width


def logistic(x: Tensor, target: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Fit multinomial logistic regression by LBFGS.

    One sample in ten chooses the penalty; then all samples are trained on.

    Args:
        x: (N, width) float32, centered.
        target: (N,) int64.
        classes: how many.

    Returns:
        weight (width, classes) and bias (classes,).
    """
    back = torch.arange(len(x)) % HELD_BACK == HELD_BACK - 1
    weight, bias = torch.zeros(x.shape[1], classes), torch.zeros(classes)
    if not bool(back.any()):
        return _descend(x, target, weight, bias, PENALTIES[2], 3 * ROUNDS)
    seen, known = x[~back], target[~back]
    best = (float("inf"), PENALTIES[0], weight, bias)
    for penalty in PENALTIES:
        weight, bias = _descend(seen, known, weight, bias, penalty, ROUNDS)
        loss = float(F.cross_entropy(x[back] @ weight + bias, target[back]))
        if loss >= best[0]:
            break  # looser only fits the noise more
        best = (loss, penalty, weight, bias)
    return _descend(x, target, best[2], best[3], best[1], ROUNDS)


def _descend(
    x: Tensor, target: Tensor, weight: Tensor, bias: Tensor, penalty: float, rounds: int
) -> tuple[Tensor, Tensor]:
    """Go down from given weights: mean cross-entropy + penalty / 2 * |weight|^2."""
    from benchdog.builtin.backends.optimizer_import import spare_the_compiler

    spare_the_compiler()  # its import would take longer than the fit
    weight, bias = weight.clone().requires_grad_(), bias.clone().requires_grad_()
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=rounds, tolerance_grad=1e-5, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        weight.grad = bias.grad = None
        loss = F.cross_entropy(torch.addmm(bias, x, weight), target) + penalty / 2 * weight.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    with torch.enable_grad():
        optimizer.step(closure)  # type: ignore[no-untyped-call]
    return weight.detach(), bias.detach()


def ridge(x: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Fit ridge regression in closed form, in float64; one sample in ten chooses the penalty.

    Args:
        x: (N, width) centered.
        target: (N, k).

    Returns:
        weight (width, k) and bias (k,), float64.
    """
    x, target = x.double(), target.double()
    back = torch.arange(len(x)) % HELD_BACK == HELD_BACK - 1
    penalty = PENALTIES[2]
    if bool(back.any()):
        values, vectors, pull, center, mean = _decompose(x[~back], target[~back])

        def error(penalty: float) -> float:
            weight = vectors @ (pull / (values + penalty * _scale(values)).unsqueeze(1))
            return float(((x[back] - center) @ weight + mean - target[back]).square().mean())

        penalty = min((*PENALTIES, 1e-6), key=error)
    values, vectors, pull, center, mean = _decompose(x, target)
    weight = vectors @ (pull / (values + penalty * _scale(values)).unsqueeze(1))
    return weight, mean - center @ weight


def _decompose(x: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return eigenvalues and vectors of the covariance, the target seen in them, and both means."""
    center, mean = x.mean(0), target.mean(0)
    z = x - center
    values, vectors = torch.linalg.eigh(z.T @ z / len(x))
    return values.clamp(min=0.0), vectors, vectors.T @ (z.T @ (target - mean)) / len(x), center, mean


def _scale(values: Tensor) -> Tensor:
    """Return what a penalty is relative to: the mean variance of a feature, never 0."""
    return values.mean() + 1e-12
