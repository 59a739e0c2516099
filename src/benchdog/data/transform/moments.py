"""Running mean and standard deviation, independent of the batching up to rounding."""

from __future__ import annotations

import torch
from torch import Tensor


class Moments:
    """Running count, mean and squared deviation per channel in float64 (Chan's pairwise merge).

    A plain sum of squares would cancel catastrophically when the mean is far larger than the deviation.
    """

    def __init__(self, channels: int) -> None:
        self.count = torch.zeros(channels, dtype=torch.float64)
        self.mean = torch.zeros(channels, dtype=torch.float64)
        self.squares = torch.zeros(channels, dtype=torch.float64)
        self.low = torch.full((channels,), float("inf"), dtype=torch.float64)
        self.high = torch.full((channels,), float("-inf"), dtype=torch.float64)

    def add(self, x: Tensor, *, skip_nan: bool = False) -> None:
        """Add a batch (B, channels, ...); `skip_nan` skips missing values."""
        if x.numel() == 0:
            return
        x = x.detach().cpu()
        if x.dtype == torch.uint8:
            self.merge(*byte_moments(x))
            return
        values = x.double().movedim(1, 0).reshape(x.shape[1], -1)  # (channels, values)
        present = ~values.isnan() if skip_nan else torch.ones_like(values, dtype=torch.bool)
        count = present.sum(1).double()
        mean = torch.where(present, values, 0.0).sum(1) / count.clamp(min=1)
        squares = torch.where(present, values - mean[:, None], 0.0).square().sum(1)
        low = torch.where(present, values, float("inf")).amin(1)
        high = torch.where(present, values, float("-inf")).amax(1)
        self.merge(count, mean, squares, low, high)

    def merge(self, count: Tensor, mean: Tensor, squares: Tensor, low: Tensor, high: Tensor) -> None:
        """Merge the moments of another batch."""
        total = self.count + count
        share = count / total.clamp(min=1)
        delta = mean - self.mean
        self.squares += squares + delta.square() * self.count * share
        self.mean += delta * share
        self.count = total
        self.low = torch.minimum(self.low, low)
        self.high = torch.maximum(self.high, high)
        # The mean of a constant channel is the constant itself, which the division may have rounded.
        self.mean = torch.where(self.low == self.high, self.low, self.mean)

    def deviation(self) -> Tensor:
        """Return the standard deviation per channel, 1 where the values are constant."""
        std = (self.squares / self.count.clamp(min=1)).sqrt()
        # Below float32's resolution a deviation is rounding noise, and dividing by it would amplify that.
        resolved = (self.mean.abs() * 2.0**-24).clamp(min=1e-30)
        return torch.where((self.low >= self.high) | (std <= resolved), 1.0, std)


def byte_moments(x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return the moments of uint8 values from their histogram: exact, and five times as fast."""
    rows = [torch.bincount(channel.reshape(-1), minlength=256) for channel in x.movedim(1, 0)]
    table = torch.stack(rows).double()  # (channels, 256)
    values = torch.arange(256, dtype=torch.float64)
    count = table.sum(1)
    mean = (table * values).sum(1) / count
    squares = (table * (values - mean[:, None]).square()).sum(1)
    low = torch.where(table > 0, values, float("inf")).amin(1)
    high = torch.where(table > 0, values, float("-inf")).amax(1)
    return count, mean, squares, low, high
