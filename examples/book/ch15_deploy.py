"""Chapter 15 style: what is deployed, with control flow that tracing alone would freeze; one logit."""

from __future__ import annotations

import torch
from torch import Tensor, nn


@torch.jit.script
def brighten(x: Tensor, least: float) -> Tensor:
    """Double each image until it is bright enough, at most eight times: its values decide how often."""
    images: list[Tensor] = []
    for i in range(x.size(0)):
        image = x[i]
        turns = 0
        while turns < 8 and bool(image.abs().mean() < least):
            image = image * 2
            turns += 1
        images.append(image)
    return torch.stack(images)


class Deployed(nn.Module):
    """A convolutional network behind a loop; one logit per image, without an axis for it."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        first, second = nn.Conv2d(3, width, 3, 2, 1), nn.Conv2d(width, width, 3, 2, 1)
        self.features = nn.Sequential(first, nn.ReLU(), second, nn.ReLU())
        self.head = nn.Linear(width, 1)

    def forward(self, x):
        return self.head(self.features(brighten(x, 0.05)).mean((2, 3))).squeeze(1)
