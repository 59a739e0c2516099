"""A model that answers with a dict, as one that answers with a tensor."""

from __future__ import annotations

import torch
from torch import nn


class Scored(nn.Module):
    """A model whose forward gives a dict, reduced to the entry named score."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        score: torch.Tensor = self.inner(*inputs)["score"]
        return score
