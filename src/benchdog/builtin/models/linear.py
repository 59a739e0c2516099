"""The model `linear`: one layer, the yardstick for every other."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchdog.api import Spec
from benchdog.builtin.models.spec_checks import flat_outputs, flat_width


class Flat(nn.Module):
    """Lay all inputs out as one row per sample (B, width), then apply `layers`."""

    def __init__(self, layers: nn.Module) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, *inputs: Tensor) -> Tensor:
        rows = [x.flatten(1) for x in inputs]
        score: Tensor = self.layers(rows[0] if len(rows) == 1 else torch.cat(rows, 1))
        return score


def build(spec: Spec, options: None = None) -> nn.Module:
    """Build a linear map from all values of a sample to the score (B, outputs)."""
    return Flat(nn.Linear(flat_width("linear", spec), flat_outputs("linear", spec)))
