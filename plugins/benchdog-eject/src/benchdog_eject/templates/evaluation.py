"""Evaluation on held-out samples."""

import torch
from torch import Tensor, nn

from benchdog_eject.templates.losses.cross_entropy import loss_of
from benchdog_eject.templates.metrics.accuracy import Metrics
from benchdog_eject.templates.settings import EVALUATION_BATCH_SIZE
from benchdog_eject.templates.transforms.scaled import transform


@torch.inference_mode()
def evaluate(model: nn.Module, inputs: Tensor, target: Tensor) -> dict[str, float]:
    """Compute loss and metrics."""
    model.eval()
    total, weights, metrics = 0.0, 0.0, Metrics()
    size = EVALUATION_BATCH_SIZE
    batches = zip(inputs.split(size), target.split(size), strict=True)  # type: ignore[no-untyped-call]
    for x, y in batches:
        logits = model(transform(x))
        loss, weight = loss_of(logits, y)
        total, weights = total + float(loss), weights + float(weight)
        metrics.add(logits, y)
    return metrics.compute(total / weights)
