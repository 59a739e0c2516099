"""Where a convolutional network looks: Grad-CAM of its last feature maps, found by themselves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

NO_LAYER = "the model has no convolutional layer whose output is still a picture"


class GradCam:
    """Grad-CAM (Selvaraju et al. 2017) of a module that gives (answer, score (B, classes)) for decoded images.

    Args:
        module: in evaluation mode, on the CPU.
        example: decoded inputs, (1, ...) each, by which the layer is found.

    Attributes:
        layer: the name of the module that gives the last feature maps; "" when there is none.
    """

    def __init__(self, module: nn.Module, example: Sequence[NDArray[Any]]) -> None:
        self.module = module
        self.layer = _last_layer(module, _tensors(example))

    def __call__(self, inputs: Sequence[NDArray[Any]], code: int) -> NDArray[np.float32]:
        """Give (H, W), 0 to 1: how much each place spoke for the class `code` of one sample, inputs (1, ...).

        All 0 when nothing did.
        """
        tensors = _tensors(inputs)
        with torch.enable_grad(), _watched(self.module.get_submodule(self.layer)) as seen:
            score = self.module(*tensors)[1]
            (slope,) = torch.autograd.grad(score[0, code], seen[-1])
        map_ = (slope.mean((2, 3), keepdim=True) * seen[-1].detach()).sum(1, keepdim=True).relu()
        map_ = F.interpolate(map_, tensors[0].shape[-2:], mode="bilinear", align_corners=False)[0, 0]
        top = float(map_.max())
        heat: NDArray[np.float32] = (map_ / top if top > 0 else map_).numpy().astype(np.float32)
        return heat


def _tensors(inputs: Sequence[NDArray[Any]]) -> list[Tensor]:
    return [torch.from_numpy(np.ascontiguousarray(x)) for x in inputs]


@contextmanager
def _watched(layer: nn.Module) -> Iterator[list[Tensor]]:
    """Note a layer's outputs, and begin the graph of gradients there: the weights need none."""
    seen: list[Tensor] = []

    def hook(_module: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
        seen.append(output.detach().requires_grad_())
        return seen[-1].clone()  # an activation may work in place, which a leaf refuses

    handle = layer.register_forward_hook(hook)
    try:
        yield seen
    finally:
        handle.remove()


def _last_layer(module: nn.Module, inputs: list[Tensor]) -> str:
    """Run the module once and see which part, from the first convolution on, last gave maps of several places.

    That is after a normalisation and an activation: before them a map's sign says nothing about what was seen.
    """
    last = ""

    def noting(name: str) -> Any:
        def hook(layer: nn.Module, _inputs: Any, output: Any) -> None:
            nonlocal last
            if isinstance(output, Tensor) and output.ndim == 4 and output.shape[-1] * output.shape[-2] > 1:
                last = name if last or isinstance(layer, nn.Conv2d) else ""

        return hook

    handles = [layer.register_forward_hook(noting(name)) for name, layer in module.named_modules() if name]
    try:
        with torch.no_grad():
            module(*inputs)
    finally:
        for handle in handles:
            handle.remove()
    return last
