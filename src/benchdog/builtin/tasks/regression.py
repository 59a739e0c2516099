"""The task `regression`: one or several numbers per sample."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchdog.api import BadData, BadUsage, Batch, Meter, MetricSet, Spec
from benchdog.builtin.tasks.answers import target_names
from benchdog.builtin.tasks.losses.classes import summed
from benchdog.builtin.tasks.losses.named import NUMBERS, Criterion, each
from benchdog.builtin.tasks.metrics.meters import NumberMeter
from benchdog.builtin.tasks.metrics.per_sample import NUMBER_METRICS, NumberStatistics
from benchdog.builtin.tasks.options import RegressionOptions

EACH: dict[str, Callable[..., Tensor]] = {"mse": F.mse_loss, "mae": F.l1_loss, "huber": F.huber_loss}
"""The own words for an error."""
LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    name: partial(error, reduction="sum") for name, error in EACH.items()
}
"""The same, summed over the values."""


class Units(nn.Module):
    """Turn a standardized score (B, targets) into the target's units."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean.float())
        self.register_buffer("std", std.float())

    def forward(self, score: Tensor) -> Tensor:
        return torch.addcmul(self.mean, score, self.std)


class Regression:
    """Regression: score (B, targets) standardized, answer (B, targets) in the target's own units.

    `fit` learns the training targets' mean and deviation before the first step; the loss is taken of
    standardized values, summed, and its weight is the number of values. Metrics are in own units.
    """

    monitor = "rmse"
    better = "min"
    weighs = True
    usual_scores = True

    def __init__(self, options: RegressionOptions) -> None:
        self.options = options
        self.adds_up = True
        self.error: Callable[[Tensor, Tensor], Tensor] | None = None
        self.set(torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64))

    def set(self, mean: Tensor, std: Tensor) -> None:
        """Take a mean and a deviation, each (targets,) float64 on the CPU; 1 value serves all targets."""
        self.mean, self.std = mean, std
        self.near = (mean.float(), std.reciprocal().float())

    def fit(self, targets: Iterable[Tensor]) -> None:
        """Compute mean and deviation of the training split's targets, each piece (B,) or (B, targets)."""
        pieces = [t.detach().cpu().double().reshape(len(t), -1) for t in targets if len(t)]
        if not pieces:
            raise BadData("The training split has no target.", "Standardising the target needs some.")
        values = torch.cat(pieces)
        if not values.isfinite().all():
            raise BadData(
                "The training split has targets that are infinite or not a number.",
                "Leave those samples out of the source.",
            )
        mean, std = values.mean(0), values.std(0, correction=0)
        constant = (values == values[0]).all(0)
        self.set(torch.where(constant, values[0], mean), torch.where(constant | (std == 0), 1.0, std))

    def state(self) -> dict[str, list[float]]:
        """Return what `fit` learned, for `restore`."""
        return {"mean": self.mean.tolist(), "std": self.std.tolist()}

    def restore(self, state: Mapping[str, list[float]]) -> None:
        """Take up what another `fit` learned."""
        self.set(*(torch.tensor(state[name], dtype=torch.float64) for name in ("mean", "std")))

    def check(self, spec: Spec) -> None:
        target = spec.target
        if target.kind != "number":
            raise BadUsage(
                f"The task 'regression' needs a number to answer, but the target is a {target.kind}.",
                "Leave the task out, and the one that fits the source is taken; a table's whole numbers are numbers "
                'with --set source.kind="number".',
            )
        if len(target.shape) > 1 or None in target.shape:
            raise BadUsage(
                f"The task 'regression' needs one number or a row of them, but the target's shape is {target.shape}.",
                "Use the target shape () or (k,).",
            )
        self.error = self._made()
        if isinstance(self.error, Criterion):
            score = torch.linspace(-1, 1, 4 * (self.output(spec)[0] or 1)).view(4, -1)
            self.adds_up = self.error.probe(score, score.flip(0))

    def _made(self) -> Callable[[Tensor, Tensor], Tensor]:
        """Make the error; a class that the options name is imported only here, where it is needed."""
        name, given = self.options.loss, self.options.loss_options
        if name not in LOSSES:
            return Criterion(name, given, NUMBERS, tuple(LOSSES), "loss_options")
        if given:
            raise BadUsage(f"{name!r} takes no loss_options.", "They are for a criterion named by its class.")
        return LOSSES[name]

    def output(self, spec: Spec) -> tuple[int | None, ...]:
        return (prod(axis or 0 for axis in spec.target.shape),)

    def head(self, spec: Spec) -> nn.Module:
        (targets,) = self.output(spec)
        return Units(self.mean.expand(targets or 1), self.std.expand(targets or 1))

    def loss(self, score: Tensor, batch: Batch) -> tuple[Tensor, float | Tensor]:
        if self.near[0].device != score.device:
            self.near = (self.near[0].to(score.device), self.near[1].to(score.device))
        mean, inverse = self.near
        target = (batch.target.view(score.shape) - mean).mul_(inverse)  # first the mean: exact where it is large
        if self.error is None:
            self.error = self._made()
        if batch.weight is not None:
            return self._weighed(score, target, batch.weight)
        lost = self.error(score, target)
        if isinstance(self.error, Criterion):  # per value, per sample, or the batch's mean
            lost = lost.sum() * (target.numel() / max(lost.numel(), 1))
        return lost, float(target.numel())

    def _weighed(self, score: Tensor, target: Tensor, by: Tensor) -> tuple[Tensor, Tensor]:
        """Do the same for samples that don't count the same: by (B,)."""
        values = target.shape[1]
        if isinstance(self.error, Criterion):
            return summed(each(self.error(score, target), len(score)) * values, by), by.sum() * values
        lost = EACH[self.options.loss](score, target, reduction="none")
        return summed(lost, by), by.sum() * values

    def meter(self, spec: Spec) -> Meter:
        names = target_names(spec)
        return NumberMeter(self.loss, names, self.mean.expand(len(names)), self.std.expand(len(names)))

    def metrics(self, spec: Spec) -> MetricSet:
        return MetricSet(metrics=NUMBER_METRICS, per_sample=NumberStatistics(self.mean.numpy()))
