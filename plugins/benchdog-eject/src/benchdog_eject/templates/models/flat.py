"""Layers on all values of a sample."""

from torch import Tensor, nn


class Flat(nn.Module):
    """Flatten the input to one row per sample (B, features), then apply `layers`."""

    def __init__(self, layers: nn.Module) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.layers(x.flatten(1))
        return logits
