"""The task `image-to-image`: an image for each image, such as a denoised, a colored or a reconstructed one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch.nn.functional as F
from torch import Tensor, nn

from benchdog.api import BadUsage, Batch, Meter, MetricSet, Spec
from benchdog.builtin.tasks.losses.classes import summed
from benchdog.builtin.tasks.metrics.meters import ImageMeter
from benchdog.builtin.tasks.metrics.per_sample import image_statistics, psnr_metrics
from benchdog.builtin.tasks.options import ImageToImageOptions

ERRORS: dict[str, Callable[..., Tensor]] = {"mse": F.mse_loss, "mae": F.l1_loss, "huber": F.smooth_l1_loss}


class InRange(nn.Module):
    """Turn a score, 0 to 1 within the range, into the target's values, and clamp them to the range."""

    def __init__(self, low: float, high: float) -> None:
        super().__init__()
        self.low, self.high = low, high

    def forward(self, score: Tensor) -> Tensor:
        return (score.float() * (self.high - self.low) + self.low).clamp(self.low, self.high)


class ImageToImage:
    """Predict an image: score and prediction (B, C, H, W), the target of the same shape.

    The loss compares the score with the target scaled to 0 to 1: the mean over a sample's values, summed over
    samples. Metrics are of the prediction, in the target's own units. A target of floats without a range is
    predicted in its own units.
    """

    monitor = "mse"
    better = "min"
    weighs = True
    usual_scores = True

    def __init__(self, options: ImageToImageOptions | None = None) -> None:
        self.options = options or ImageToImageOptions()
        self.range: tuple[float, float] | None = self.options.range or None

    def check(self, spec: Spec) -> None:
        target = spec.target
        if target.kind != "image":
            raise BadUsage(
                f"The task 'image-to-image' needs an image to answer, but the target is a {target.kind}.",
                "Leave the task out, and the one that fits the source is taken.",
            )
        if len(target.shape) != 3:
            raise BadUsage(
                f"The task 'image-to-image' needs a target of (C, H, W), but its shape is {target.shape}.",
                "Say it in the spec: Target(kind='image', shape=(3, 64, 64), dtype='uint8').",
            )
        dtype = np.dtype(target.dtype)
        if dtype.kind not in "uif":
            raise BadUsage(f"The task 'image-to-image' needs numbers, but the target is {target.dtype}.")
        if self.options.range:
            low, high = self.options.range
            if not low < high:
                raise BadUsage(f"range = [{low:g}, {high:g}] of the task 'image-to-image' is empty.")
            self.range = (low, high)
        elif dtype.kind != "f":
            self.range = (float(np.iinfo(dtype).min), float(np.iinfo(dtype).max))

    def output(self, spec: Spec) -> tuple[int | None, ...]:
        return spec.target.shape

    def head(self, spec: Spec) -> nn.Module:
        return InRange(*self.range) if self.range else nn.Identity()

    def loss(self, score: Tensor, batch: Batch) -> tuple[Tensor, float | Tensor]:
        target = batch.target.to(score.dtype)
        if self.range:
            low, high = self.range
            target = (target - low) / (high - low)
        each = ERRORS[self.options.loss](score, target, reduction="none").flatten(1).mean(1)
        if batch.weight is not None:
            return summed(each, batch.weight), batch.weight.sum()
        return each.sum(), float(len(each))

    def meter(self, spec: Spec) -> Meter:
        return ImageMeter(self.loss, self.head(spec), psnr_metrics(self.range))

    def metrics(self, spec: Spec) -> MetricSet:
        return MetricSet(metrics=psnr_metrics(self.range), per_sample=image_statistics)
