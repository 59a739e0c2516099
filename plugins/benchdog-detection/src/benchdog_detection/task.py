"""The task `detection`: boxes of any number per image, found at the peaks of a map per class."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchdog.api import BadUsage, Batch, MetricSet, Spec, Target
from benchdog_detection.boxes import PADDING
from benchdog_detection.metrics import Meter, metric_set
from benchdog_detection.options import DetectionOptions

SIDES = 4
"""Channels of the score before those of the classes: distances from a cell's center to a box's four sides."""
LONGEST = 10.0
"""Largest logarithm of such a distance, in cells."""
NEAR = 1
"""Cells around the one of a box's center that learn its sides as well."""
BOX_SHARE = 2.0
"""Weight of the loss of the sides."""


class Peaks(nn.Module):
    """Turn a score (B, 4 + classes, h, w) into the likeliest boxes, (B, K, 6).

    A row is x1, y1, x2, y2 in pixels, probability, class code; likeliest first. Rows of -1 fill up what is missing.
    """

    edge: Tensor

    def __init__(self, stride: int, outputs: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.stride, self.outputs = stride, outputs
        self.register_buffer("edge", torch.tensor([size[1], size[0]] * 2, dtype=torch.float32), persistent=False)

    def forward(self, score: Tensor) -> Tensor:
        logits = score[:, SIDES:]
        rows, columns = logits.shape[-2:]
        peak = F.max_pool2d(logits, 3, stride=1, padding=1) == logits
        ranked = torch.where(peak, logits, torch.full_like(logits, -torch.inf)).flatten(1)
        best, place = ranked.topk(min(self.outputs, ranked.shape[1]), dim=1)
        code = torch.div(place, rows * columns, rounding_mode="floor")
        cell = place - code * (rows * columns)
        y = torch.div(cell, columns, rounding_mode="floor")
        x = cell - y * columns
        at = cell.unsqueeze(1).expand(-1, SIDES, -1)
        sides = sides_of(score, self.stride).flatten(2).gather(2, at)
        center = (torch.stack([x, y], 1).to(score.dtype) + 0.5) * self.stride
        corners = torch.cat([center - sides[:, :2], center + sides[:, 2:]], 1).transpose(1, 2)
        corners = torch.minimum(corners.clamp(min=0), self.edge)
        found = torch.cat([corners, best.sigmoid().unsqueeze(2), code.unsqueeze(2).to(score.dtype)], 2)
        return torch.where(torch.isinf(best).unsqueeze(2), torch.full_like(found, PADDING), found)


class Detection:
    """Find objects, as CenterNet (arXiv:1904.07850) and FCOS (arXiv:1904.01355) do.

    The score (B, 4 + classes, h, w) has a cell for each `stride` pixels: four logarithms of the distances from its
    center to the box's sides, and a logit per class, which peaks at the centers of boxes. A sample's loss is the
    penalty-reduced focal loss of the logits plus the GIoU loss of the sides around the centers, each per box.
    """

    monitor = "map"
    better = "max"
    weighs = True

    def __init__(self, options: DetectionOptions | None = None) -> None:
        self.options = options or DetectionOptions()
        self._target = Target(kind="boxes", shape=(None, 5), dtype="float32", padding=PADDING)

    def check(self, spec: Spec) -> None:
        """Refuse data other than images of one size with boxes."""
        field, target = spec.fields[0], spec.target
        if target.kind != "boxes" or target.shape != (None, 5) or target.padding is None:
            raise BadUsage(
                f"The task 'detection' needs boxes (n, 5), but the target is a {target.kind} {target.shape}.",
                'A source declares them by Target(kind="boxes", shape=(None, 5), dtype="float32", padding=-1).',
            )
        if field.kind != "image" or None in field.shape:
            raise BadUsage(
                f"The task 'detection' needs images of one size, but {field.name!r} is {field.kind} {field.shape}.",
                "Let the source resize them: --set source.size=256.",
            )
        if not spec.classes:
            raise BadUsage("The task 'detection' needs the names of classes.", "List them: Target(classes=(...)).")
        self._target = target

    def output(self, spec: Spec) -> tuple[int | None, ...]:
        """Return (4 + classes, cells down, cells across)."""
        rows, columns = (math.ceil((side or 1) / self.options.stride) for side in spec.size)
        return (SIDES + spec.classes, rows, columns)

    def head(self, spec: Spec) -> nn.Module:
        """Return the module that picks the likeliest boxes, inside the graph."""
        rows, columns = spec.size
        return Peaks(self.options.stride, self.options.outputs, (rows or 1, columns or 1))

    def loss(self, score: Tensor, batch: Batch) -> tuple[Tensor, float | Tensor]:
        """Return the sum over samples, and their number; under weights, the weighted sums."""
        lost = self._losses(score.float(), batch.target)
        if batch.weight is None:
            return lost.sum(), len(lost)
        return (lost * batch.weight).sum(), batch.weight.sum()

    def meter(self, spec: Spec) -> Meter:
        """Return an empty meter of COCO's metrics."""
        return Meter(spec, self.head(spec), self.options.overlap, self.loss)

    def metrics(self, spec: Spec) -> MetricSet:
        """Return COCO's metrics."""
        return metric_set(spec, self.options.overlap)

    def _losses(self, score: Tensor, target: Tensor) -> Tensor:
        """Return each sample's loss, (B,)."""
        real, stride = self._target.real_rows(target), self.options.stride
        boxes, code = target[..., :4], target[..., 4]
        rows, columns = score.shape[-2:]
        x = torch.arange(columns, device=score.device, dtype=score.dtype)
        y = torch.arange(rows, device=score.device, dtype=score.dtype)[:, None]
        width, height = (boxes[..., 2:] - boxes[..., :2]).unbind(-1)
        middle = ((boxes[..., :2] + boxes[..., 2:]) / (2 * stride)).floor()  # the center's cell
        column, row = middle[..., 0].clamp(0, columns - 1), middle[..., 1].clamp(0, rows - 1)
        across, down = x - column[..., None, None], y - row[..., None, None]  # (B, n, h, w) when broadcast
        bumps = _bump(across, width / stride) * _bump(down, height / stride) * real[..., None, None]
        classes = range(score.shape[1] - SIDES)
        wanted = torch.stack([(bumps * (code == k)[..., None, None]).amax(1) for k in classes], 1)
        count = real.sum(1).clamp(min=1)
        focal = _focal(score[:, SIDES:], wanted).sum((1, 2, 3)) / count

        close = (across.abs() <= NEAR) & (down.abs() <= NEAR)
        center_x, center_y = ((x + 0.5) * stride)[None, None, None], ((y + 0.5) * stride)[None, None]
        low_x, low_y, high_x, high_y = (side[..., None, None] for side in boxes.unbind(-1))
        inside = (center_x > low_x) & (center_x < high_x) & (center_y > low_y) & (center_y < high_y)
        exact = (across == 0) & (down == 0)
        near = ((close & inside) | exact) & real[..., None, None]
        area = torch.where(near, (width * height)[..., None, None], torch.inf)
        smallest, owner = area.min(1)  # where boxes share a cell, the smallest has it: (B, h, w)
        taken = torch.isfinite(smallest)
        own = boxes.gather(1, owner.flatten(1).unsqueeze(2).expand(-1, -1, 4)).reshape(-1, rows, columns, 4)
        sides = sides_of(score, stride).permute(0, 2, 3, 1)
        center = torch.stack([center_x[0, 0].expand(rows, -1), center_y[0, 0].expand(-1, columns)], -1)
        predicted = torch.cat([center - sides[..., :2], center + sides[..., 2:]], -1)
        missed = torch.where(taken, 1 - _giou(predicted, own), 0.0).sum((1, 2)) / taken.sum((1, 2)).clamp(min=1)
        lost: Tensor = focal + BOX_SHARE * missed
        return lost


def sides_of(score: Tensor, stride: int) -> Tensor:
    """Return the distances from each cell's center to a box's left, upper, right and lower side, in pixels."""
    return score[:, :SIDES].clamp(max=LONGEST).exp() * stride


def _bump(offset: Tensor, length: Tensor) -> Tensor:
    """Return a Gaussian around a box's center, as wide as the box is long, in cells (arXiv:1909.00700)."""
    sigma = (0.54 * length + 1) / 6
    return torch.exp(-(offset**2) / (2 * sigma[..., None, None] ** 2))


def _focal(logits: Tensor, wanted: Tensor) -> Tensor:
    """Return the penalty-reduced focal loss: cells near a center count less as background."""
    probability = logits.sigmoid()
    hit = -((1 - probability) ** 2) * F.logsigmoid(logits)
    false = -((1 - wanted) ** 4) * probability**2 * F.logsigmoid(-logits)
    return torch.where(wanted == 1, hit, false)


def _giou(a: Tensor, b: Tensor) -> Tensor:
    """Return the generalized IoU of boxes (..., 4), pair by pair (arXiv:1902.09630)."""
    shared = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(min=0).prod(-1)
    union = (a[..., 2:] - a[..., :2]).prod(-1) + (b[..., 2:] - b[..., :2]).prod(-1) - shared
    hull = (torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])).prod(-1)
    return shared / union.clamp(min=1e-6) - (hull - union) / hull.clamp(min=1e-6)
