"""The portable graph as a module that exporters can take."""

from __future__ import annotations

from torch import Tensor, nn


class Graph(nn.Module):
    """A loaded graph behind the signature that every artifact's module has: `forward(*inputs)`."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        answer, score = self.inner(*inputs)
        return answer, score
