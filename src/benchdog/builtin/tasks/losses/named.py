"""Criteria by name: a class of torch.nn, or of the user's, with its arguments."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchdog.api import BadUsage, nearest
from benchdog.builtin.class_references import arguments, named
from benchdog.builtin.tasks.losses.class_weights import ClassWeights
from benchdog.builtin.tasks.losses.classes import PerClass, Summed, is_soft, smoothed, summed, weight_of

Prepare = Callable[[Tensor], Tensor]


def as_it_is(score: Tensor) -> Tensor:
    """Return the score."""
    return score


def shares_of(score: Tensor) -> Tensor:
    """Return probabilities."""
    return score.softmax(1)


def logs_of(score: Tensor) -> Tensor:
    """Return their logarithms."""
    return score.log_softmax(1)


CODES: dict[str, Prepare] = {
    "CrossEntropyLoss": as_it_is,
    "MultiMarginLoss": as_it_is,
    "NLLLoss": logs_of,
}
"""Criteria that take a code, with what they take for the score, as torch documents them."""
ROWS: dict[str, Prepare] = {
    "BCEWithLogitsLoss": as_it_is,
    "MultiLabelSoftMarginLoss": as_it_is,
    "SoftMarginLoss": as_it_is,
    "KLDivLoss": logs_of,
    "MSELoss": shares_of,
    "L1Loss": shares_of,
    "SmoothL1Loss": shares_of,
    "HuberLoss": shares_of,
}
"""Criteria that take a row of shares, with what they take for the score."""
NUMBERS = ("MSELoss", "L1Loss", "SmoothL1Loss", "HuberLoss")
"""Criteria that compare numbers one by one."""
OWN = {
    "weight": "class_weights",
    "pos_weight": "class_weights",
    "label_smoothing": "label_smoothing",
    "ignore_index": "",
    "log_target": "",
    "reduction": "",
    "reduce": "",
    "size_average": "",
}
"""Arguments of criteria that are not free: the option that has their place."""


class Criterion:
    """A criterion that gives a loss per sample, (B, ...); on the device that it is called for.

    Args:
        name: a class of torch.nn by name (one of `known`), or package.module:Class.
        given: its arguments.
        known: names that fit the task.
        own: the task's own words for a loss, for the message.
        option: the name of the option that holds the arguments.
    """

    def __init__(
        self, name: str, given: Mapping[str, Any], known: tuple[str, ...], own: tuple[str, ...], option: str
    ) -> None:
        if ":" not in name and name not in known:
            raise BadUsage(f"There is no criterion {name!r} for this task.", nearest(name, [*own, *known]))
        cls = named(name, nn, nn.Module, "criterion", (*own, *known))
        for argument in given:
            if argument in OWN:
                hint = f"Use the option {OWN[argument]}." if OWN[argument] else "Leave it out: sums are taken here."
                raise BadUsage(f"{argument!r} of {option} can't be chosen.", hint)
        more = arguments(cls, given, option, positional=0)
        if "reduction" in inspect.signature(cls).parameters:
            more["reduction"] = "none"
        self.name = name
        try:
            self.module: nn.Module = cls(**more).eval()
        except (TypeError, ValueError) as error:
            raise BadUsage(f"The criterion {name!r} can't be made: {error}.", f"See {option}.") from None
        if any(p.requires_grad for p in self.module.parameters()):
            raise BadUsage(f"The criterion {name!r} has parameters of its own.", "Nobody would train them.")
        self._device: torch.device | None = None

    def __call__(self, score: Tensor, target: Tensor) -> Tensor:
        if self._device != score.device:
            self.module = self.module.to(score.device)
            self._device = score.device
        lost: Tensor = self.module(score, target)
        return lost

    def probe(self, score: Tensor, target: Tensor) -> bool:
        """Try it on a made-up batch; say whether a sample's loss is its own, whatever the batch.

        Raises:
            BadUsage: it fails, or gives something else than a loss per sample or one for the batch.
        """
        try:
            with torch.no_grad():
                whole, part = self(score, target), self(score[:2], target[:2])
        except Exception as error:  # third-party code may raise anything
            said = " ".join(str(error).split())[:200]
            raise BadUsage(
                f"The criterion {self.name!r} doesn't take a score {tuple(score.shape)} and a target "
                f"{tuple(target.shape)}: {type(error).__name__}: {said}.",
                "It is called as criterion(score, target).",
            ) from None
        if not isinstance(whole, Tensor) or (whole.ndim and len(whole) != len(score)):
            raise BadUsage(f"The criterion {self.name!r} gives no loss per sample.", "Return one, or their mean.")
        return bool(whole.ndim) and torch.allclose(whole[:2], part, equal_nan=True)


def each(lost: Tensor, count: int) -> Tensor:
    """Bring a criterion's answer to a loss per sample (B,): the mean over its axes, or the batch's mean for all."""
    if not lost.ndim:
        return lost.expand(count)
    return lost.flatten(1).mean(1) if lost.ndim > 1 else lost


class NamedLoss:
    """A loss of classes (B, classes) by a named criterion.

    A criterion that takes codes is asked for every class where samples were blended, and its answers are
    blended alike; one that takes rows gets the shares themselves.
    """

    def __init__(self, criterion: Criterion, smoothing: float) -> None:
        self.criterion, self.smoothing = criterion, smoothing
        self._prepare = {**ROWS, **CODES}.get(criterion.name, as_it_is)
        self._blended = PerClass(self._terms, smoothing)

    def __call__(self, score: Tensor, target: Tensor, weights: ClassWeights, by: Tensor | None = None, /) -> Summed:
        soft = is_soft(score, target)
        rows = self.criterion.name in ROWS
        if not rows and (soft or self.smoothing):
            return self._blended(score, target, weights, by)
        values = weights.on(score.device)
        if rows:
            shares = (target if soft else F.one_hot(target.long(), score.shape[1])).to(score.dtype)
            lost = self._of_rows(score, smoothed(shares, self.smoothing))
            counts = None if values is None else (shares * values).sum(1)
        else:
            lost = each(self.criterion(self._prepare(score), target.long()), len(score))
            counts = None if values is None else values[target.long()]
        total = summed(lost if counts is None else lost * counts, by)
        return total, weight_of(score, target, values, None, by)

    def probe(self, classes: int) -> bool:
        """Try the criterion on made-up scores; say whether a sample's loss is its own, whatever the batch."""
        score, codes = torch.linspace(-1, 1, 4 * classes).view(4, -1), torch.arange(4) % classes
        rows = self.criterion.name in ROWS
        return self.criterion.probe(self._prepare(score), F.one_hot(codes, classes).float() if rows else codes)

    def _terms(self, score: Tensor) -> Tensor:
        """Return what each class would cost: (B, classes)."""
        seen = self._prepare(score)
        codes = torch.arange(score.shape[1], device=score.device)
        return torch.stack([each(self.criterion(seen, code.expand(len(seen))), len(seen)) for code in codes], 1)

    def _of_rows(self, score: Tensor, shares: Tensor) -> Tensor:
        if self.criterion.name == "SoftMarginLoss":  # its truth is -1 or 1
            shares = 2 * shares - 1
        lost = self.criterion(self._prepare(score), shares)
        # Torch's mean of a divergence is, per sample, its sum over the classes.
        return lost.sum(1) if self.criterion.name == "KLDivLoss" else each(lost, len(score))
