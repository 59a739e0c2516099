"""Averaged weights: often better than the last ones, and less restless from epoch to epoch."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from benchdog.builtin.trainers.options import Supervised as Options


class Plain:
    """No average: the model itself is judged and kept."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model

    def step(self) -> None:
        """Do nothing after a step."""

    def epoch_done(self) -> None:
        """Do nothing after an epoch."""

    def state_dict(self) -> dict[str, Any]:
        """Return nothing: there is no state."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take nothing."""


class Average(Plain):
    """A second model that follows the first; numbers that aren't floats are its own as they are now."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__(copy.deepcopy(model).requires_grad_(False))
        self.count = 0
        pairs = [(a, b) for a, b in zip(tensors(self.model), tensors(model), strict=True)]
        self.mine = [a for a, _ in pairs if a.is_floating_point()]
        self.theirs = [b for _, b in pairs if b.is_floating_point()]
        self.others = [(a, b) for a, b in pairs if not a.is_floating_point()]

    @torch.no_grad()
    def move(self, weight: float) -> None:
        """Move the average by this share of the way to the model."""
        self.count += 1
        torch._foreach_lerp_(self.mine, self.theirs, weight)
        for mine, theirs in self.others:
            mine.copy_(theirs)

    def state_dict(self) -> dict[str, Any]:
        """Return what a resume needs."""
        return {"count": self.count, "model": self.model.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what was stored."""
        self.count = state["count"]
        self.model.load_state_dict(state["model"])


class Ema(Average):
    """An exponential average over steps; it forgets faster at first, when the weights are still far off."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        super().__init__(model)
        self.decay = decay

    def step(self) -> None:
        """Take the weights after a step."""
        self.move(1 - min(self.decay, (1 + self.count) / (10 + self.count)))


class Swa(Average):
    """The mean of the weights after each epoch from `start` on (arXiv:1803.05407), running statistics with them."""

    def __init__(self, model: nn.Module, start: int) -> None:
        super().__init__(model)
        self.start, self.epochs = start, 0

    def epoch_done(self) -> None:
        """Take the weights after an epoch; before `start` they are followed as they are."""
        self.epochs += 1
        self.move(1 / max(1, self.epochs - self.start))

    def state_dict(self) -> dict[str, Any]:
        """Return what a resume needs."""
        return {**super().state_dict(), "epochs": self.epochs}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what was stored."""
        super().load_state_dict(state)
        self.epochs = state["epochs"]


def tensors(model: nn.Module) -> list[Tensor]:
    """List all that a model consists of."""
    return [*model.parameters(), *model.buffers()]


def swa_start(options: Options, epochs: int) -> int:
    """Return the epochs before swa begins to average: of a short run, too, two are averaged."""
    return max(0, min(round(options.swa_start * epochs), epochs - 2))


def make_average(options: Options, model: nn.Module, epochs: int) -> Plain:
    """Build the average that the options ask for."""
    if options.average == "ema":
        return Ema(model, options.ema_decay)
    if options.average == "swa":
        return Swa(model, swa_start(options, epochs))
    return Plain(model)
