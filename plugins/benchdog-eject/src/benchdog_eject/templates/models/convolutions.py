"""Layers for images or volumes."""

from torch import Tensor, group_norm, nn

DIMENSIONS = 2
NORM = "none"


def convolution(
    before: int, after: int, kernel: int, stride: int = 1, padding: int = 0, bias: bool = True
) -> nn.Module:
    """Build a convolution in two or three dimensions."""
    return (nn.Conv2d if DIMENSIONS == 2 else nn.Conv3d)(before, after, kernel, stride, padding, bias=bias)


class Groups(nn.GroupNorm):
    """Group normalization, of batches of one sample too."""

    def forward(self, x: Tensor) -> Tensor:
        return group_norm(x, self.num_groups, self.weight, self.bias, self.eps)


def normalization(channels: int) -> list[nn.Module]:
    """Build the layer after a convolution; none for "none"."""
    if NORM == "batch":
        return [(nn.BatchNorm2d if DIMENSIONS == 2 else nn.BatchNorm3d)(channels)]
    if NORM == "group":
        return [Groups(next(g for g in (8, 4, 2, 1) if channels % g == 0), channels)]
    return []
