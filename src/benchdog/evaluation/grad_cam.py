"""Grad-CAM of a convolutional network's last feature maps, which are detected automatically."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

NO_LAYER = "the model has no convolutional layer with two-dimensional feature maps"


class GradCam:
    """Grad-CAM (Selvaraju et al. 2017) of a module that returns (prediction, score (B, classes)) for decoded images.

    Args:
        module: in evaluation mode, on the CPU.
        example: decoded inputs, (1, ...) each, by which the layer is detected.

    Attributes:
        layer: the name of the module that outputs the last feature maps; "" when there is none.
    """

    def __init__(self, module: nn.Module, example: Sequence[NDArray[Any]]) -> None:
        self.module = module
        self.layer = _last_layer(module, _tensors(example))

    def __call__(self, inputs: Sequence[NDArray[Any]], code: int) -> NDArray[np.float32]:
        """Compute the heat map (H, W), 0 to 1, of the class `code` for one sample, inputs (1, ...).

        All 0 where no feature map has a positive influence.
        """
        tensors = _tensors(inputs)
        with torch.enable_grad(), _recorded(self.module.get_submodule(self.layer)) as outputs:
            score = self.module(*tensors)[1]
            (gradient,) = torch.autograd.grad(score[0, code], outputs[-1])
        map_ = (gradient.mean((2, 3), keepdim=True) * outputs[-1].detach()).sum(1, keepdim=True).relu()
        map_ = F.interpolate(map_, tensors[0].shape[-2:], mode="bilinear", align_corners=False)[0, 0]
        top = float(map_.max())
        heat: NDArray[np.float32] = (map_ / top if top > 0 else map_).numpy().astype(np.float32)
        return heat


def _tensors(inputs: Sequence[NDArray[Any]]) -> list[Tensor]:
    return [torch.from_numpy(np.ascontiguousarray(x)) for x in inputs]


@contextmanager
def _recorded(layer: nn.Module) -> Iterator[list[Tensor]]:
    """Record a layer's outputs, and start the autograd graph there: the weights need no gradients."""
    outputs: list[Tensor] = []

    def hook(_module: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
        outputs.append(output.detach().requires_grad_())
        return outputs[-1].clone()  # an activation may work in place, which a leaf refuses

    handle = layer.register_forward_hook(hook)
    try:
        yield outputs
    finally:
        handle.remove()


def _last_layer(module: nn.Module, inputs: list[Tensor]) -> str:
    """Run the module once; return the last layer, from the first convolution on, that outputs two-dimensional maps.

    That is after a normalization and an activation: before them the sign of a map means nothing.
    """
    last = ""

    def hook_of(name: str) -> Any:
        def hook(layer: nn.Module, _inputs: Any, output: Any) -> None:
            nonlocal last
            if isinstance(output, Tensor) and output.ndim == 4 and output.shape[-1] * output.shape[-2] > 1:
                last = name if last or isinstance(layer, nn.Conv2d) else ""

        return hook

    handles = [layer.register_forward_hook(hook_of(name)) for name, layer in module.named_modules() if name]
    try:
        with torch.no_grad():
            module(*inputs)
    finally:
        for handle in handles:
            handle.remove()
    return last
