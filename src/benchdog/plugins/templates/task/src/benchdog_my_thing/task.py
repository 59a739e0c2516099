"""The task: logits (B, classes), prediction their softmax, target (B,) class codes."""

from collections.abc import Mapping

import torch
from benchdog.api import BadUsage, Batch, Spec
from torch import Tensor, nn


def squared(score: Tensor, target: Tensor) -> Tensor:
    """Return the squared error per sample (B,); targets are codes (B,) or, if blended, soft (B, classes)."""
    if target.ndim == 1:
        target = nn.functional.one_hot(target, score.shape[1])
    return (score.softmax(1) - target).square().sum(1)


class MyThingTask:
    """Classification by squared error: the loss is a sum, its weight the number of samples."""

    monitor, better = "brier", "min"
    weighs = True
    usual_scores = True  # logits, one per class: Benchdog's baselines are scored like the model

    def check(self, spec: Spec) -> None:
        """Refuse targets that are not classes."""
        if spec.target.kind != "class":
            raise BadUsage(
                f"The task 'my-thing' needs a class as its target, but the target is a {spec.target.kind}.",
                "Omit --task to use the one that fits the source.",
            )

    def output(self, spec: Spec) -> tuple[int | None, ...]:
        """Return the shape of the logits: one per class."""
        return (spec.classes,)

    def head(self, spec: Spec) -> nn.Module:
        """Return the module that turns logits into the prediction, inside the graph."""
        return nn.Softmax(dim=1)

    def loss(self, score: Tensor, batch: Batch) -> tuple[Tensor, float | Tensor]:
        """Return the sum over the batch and its weight, the divisor."""
        error = squared(score, batch.target)
        if batch.weight is None:
            return error.sum(), len(error)
        return (error * batch.weight).sum(), batch.weight.sum()

    def meter(self, spec: Spec) -> "Meter":
        """Return an empty meter."""
        return Meter()


class Meter:
    """Sums of squared errors and correct predictions."""

    def __init__(self) -> None:
        self.sums = torch.zeros(3, dtype=torch.float64)  # squared errors, correct predictions, samples

    def add(self, score: Tensor, batch: Batch) -> None:
        """Add a batch; its targets are codes, since only training batches are blended."""
        error, right = squared(score, batch.target), score.argmax(1) == batch.target
        seen = torch.stack([error.sum().double(), right.sum().double()])
        self.sums += torch.cat([seen.cpu(), torch.tensor([float(len(score))])])

    def state(self) -> dict[str, Tensor]:
        """Return the state for `merge`."""
        return {"sums": self.sums}

    def merge(self, state: Mapping[str, Tensor]) -> None:
        """Merge another meter's state."""
        self.sums += state["sums"]

    def value(self) -> dict[str, float]:
        """Return the metrics."""
        squares, right, samples = self.sums.tolist()
        count = max(1.0, samples)
        return {"brier": squares / count, "accuracy": right / count, "loss": squares / count}
