"""Corrections of low rank next to frozen layers (Hu et al. 2021, arXiv:2106.09685), merged before they are used."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear

from benchdog.api import BadUsage, nearest
from benchdog.builtin.trainers.freezing import fits
from benchdog.builtin.trainers.options import Supervised as Options


class Correction(nn.Module):
    """Adds scale * up(down(x)) to a layer's output; its weights aren't part of the model's state.

    `down` is (rank, in) and random, `up` (out, rank) and zero: training starts at the layer as it was.
    """

    def __init__(self, layer: nn.Linear | nn.Conv2d, rank: int, scale: float, draw: torch.Generator) -> None:
        super().__init__()
        out, width = layer.weight.shape[:2]
        down = torch.empty(rank, width).uniform_(-(width**-0.5), width**-0.5, generator=draw)
        self.down = nn.Parameter(down.to(layer.weight))
        self.up = nn.Parameter(layer.weight.new_zeros(out, rank))
        self.scale, self.active = scale, True

    def _save_to_state_dict(self, *args: Any) -> None:
        """Store nothing: the model's state has the names that deployment knows."""

    def _load_from_state_dict(self, *args: Any) -> None:
        """Take nothing."""

    def add(self, layer: nn.Module, given: tuple[Tensor, ...], out: Tensor) -> Tensor:
        """Correct a layer's output; called by the layer itself, after its own forward."""
        if not self.active:
            return out
        if isinstance(layer, nn.Conv2d):
            inner = F.conv2d(given[0], self.down[:, :, None, None])
            return torch.add(out, F.conv2d(inner, self.up[:, :, None, None]), alpha=self.scale)
        return torch.add(out, F.linear(F.linear(given[0], self.down), self.up), alpha=self.scale)

    def delta(self) -> Tensor:
        """Return what the layer's weight (out, in) is to be changed by."""
        return self.scale * (self.up @ self.down)


class Lora:
    """The corrections of a model. A checkpoint holds them and the weights that they correct.

    Raises:
        BadUsage: no layer fits, or another setting can't go with it.
    """

    def __init__(self, options: Options, model: nn.Module, head: str, seed: int) -> None:
        self.layers: dict[str, nn.Linear | nn.Conv2d] = {}
        self.corrections: dict[str, Correction] = {}
        self._hooks: list[Any] = []
        self._before: dict[str, Tensor] = {}
        if not options.lora:
            return
        if options.average != "none":
            raise BadUsage("trainer.lora and trainer.average exclude each other.", "Leave one of them out.")
        if options.layer_decay != 1:
            raise BadUsage(
                "trainer.lora and trainer.layer_decay exclude each other: all corrections learn at one rate.",
                "Leave one of them out.",
            )
        names = [name for name, module in model.named_modules() if correctable(module)]
        for pattern in options.lora_layers:
            if not any(fits(name, [pattern]) for name in names):
                raise BadUsage(f"trainer.lora_layers: no layer fits {pattern!r}.", nearest(pattern, names))
        draw = torch.Generator().manual_seed(seed)
        for name, module in model.named_modules():
            if fits(name, options.lora_layers) and not fits(name, [head]) and correctable(module):
                self.layers[name] = module
                self.corrections[name] = Correction(module, options.lora, options.lora_scale, draw)
        if not self.layers:
            raise BadUsage(
                f"trainer.lora: no linear layer or 1x1 convolution below the head fits {list(options.lora_layers)}.",
                "Look at trainer.lora_layers, or learn the layers themselves.",
            )
        for name, layer in self.layers.items():
            layer.requires_grad_(False)
            layer.add_module("correction", self.corrections[name])
            self._hooks.append(layer.register_forward_hook(self.corrections[name].add))

    @property
    def parameters(self) -> Sequence[nn.Parameter]:
        """What learns in place of the layers."""
        return [p for each in self.corrections.values() for p in each.parameters()]

    @contextmanager
    def merged(self) -> Iterator[None]:
        """Let the layers themselves hold the corrections for a while, as deployment will."""
        self._merge()
        try:
            yield
        finally:
            with torch.no_grad():
                for name, layer in self.layers.items():
                    layer.weight.copy_(self._before.pop(name))
                    self.corrections[name].active = True

    @torch.no_grad()
    def _merge(self) -> None:
        for name, layer in self.layers.items():
            self._before[name] = layer.weight.detach().clone()
            layer.weight.add_(self.corrections[name].delta().view_as(layer.weight))
            self.corrections[name].active = False

    def finish(self) -> None:
        """Merge for good and leave the model as it was built: plain layers."""
        self._merge()
        for hook in self._hooks:
            hook.remove()
        for layer in self.layers.values():
            del layer.correction

    def state_dict(self) -> dict[str, Any]:
        """Return what a resume needs, with the layers' weights as they are without corrections."""
        weights = {name: self._before.get(name, layer.weight.detach()) for name, layer in self.layers.items()}
        return {
            name: {"down": each.down.detach(), "up": each.up.detach(), "weight": weights[name]}
            for name, each in self.corrections.items()
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what was stored; the model's own weights may have been stored merged."""
        with torch.no_grad():
            for name, each in self.corrections.items():
                each.down.copy_(state[name]["down"])
                each.up.copy_(state[name]["up"])
                self.layers[name].weight.copy_(state[name]["weight"])


def correctable(module: nn.Module) -> bool:
    """Return whether a layer is a matrix applied to each position; nn.MultiheadAttention never calls its own."""
    if isinstance(module, nn.Conv2d):
        plain = all(set(at) == {1} for at in (module.kernel_size, module.stride)) and module.groups == 1
        return plain and set(module.padding) <= {0, "valid"}
    return isinstance(module, nn.Linear) and not isinstance(module, NonDynamicallyQuantizableLinear)
