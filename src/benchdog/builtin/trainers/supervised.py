"""The plain training loop."""

from __future__ import annotations

import inspect
import math
from importlib import import_module
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from benchdog.api import BadUsage, Session
from benchdog.builtin.trainers.options import Supervised as Options

WARM_UP = 0.1
"""Share of the steps over which the cosine schedule rises to the full rate."""


class Supervised:
    """Learn from samples with known targets, by gradient descent."""

    def __init__(self, options: Options) -> None:
        self.options = options

    def train(self, session: Session, /) -> nn.Module:
        """Train the session's model until its last epoch."""
        model = session.device.prepare(session.model)
        optimiser = make_optimiser(self.options, model)
        schedule = make_schedule(self.options, optimiser, session.total_steps)
        session.track(optimiser=optimiser, schedule=schedule)
        device, task, parameters = session.device, session.task, list(model.parameters())
        for _ in session.epochs():
            model.train()
            for batch in session.batches():
                with device.autocast():
                    score = model(*batch.inputs)
                    loss, weight = task.loss(score, batch)
                session.backward(loss, weight, batch)
                if batch.last:
                    device.step(optimiser)
                    for parameter in parameters:
                        parameter.grad = None  # what zero_grad() does, in a tenth of its time
                    schedule.step()
                    session.step_done(loss, weight)
            session.epoch_done(session.evaluate("valid"))
        return model


def make_optimiser(options: Options, model: nn.Module) -> torch.optim.Optimizer:
    """Build the optimiser by name, fused where it has that.

    Raises:
        BadUsage: there is no such optimiser, or it doesn't take these settings.
    """
    place, _, name = options.optimiser.rpartition(":")
    module = import_module(place) if place else torch.optim
    cls = getattr(module, name, None)
    if not (isinstance(cls, type) and issubclass(cls, torch.optim.Optimizer)):
        known = ", ".join(n for n in dir(torch.optim) if n[0].isupper() and n != "Optimizer")
        raise BadUsage(f"There is no optimiser {options.optimiser!r}.", f"torch.optim has {known}.")
    more: dict[str, Any] = {"weight_decay": options.weight_decay} if options.weight_decay else {}
    if "fused" in inspect.signature(cls).parameters:
        more["fused"] = True
    parameters = [p for p in model.parameters() if p.requires_grad]
    if not parameters:
        raise BadUsage("The model has no parameters that learn.", "Choose another --model.")
    try:
        return cls(parameters, **{"lr": options.lr, **more})
    except (TypeError, ValueError) as error:
        raise BadUsage(f"optimiser {options.optimiser!r}: {error}.", "Choose another trainer.optimiser.") from None


class Constant:
    """The schedule that changes nothing, at no cost per step."""

    def step(self) -> None:
        """Do nothing."""

    def state_dict(self) -> dict[str, Any]:
        """Give nothing: there is no state."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take nothing."""


def make_schedule(options: Options, optimiser: torch.optim.Optimizer, steps: int | None) -> Constant | LambdaLR:
    """Build the schedule; cosine needs to know the number of steps.

    Raises:
        BadUsage: no such schedule, or one that needs the length of a stream.
    """
    if options.schedule == "constant":
        return Constant()
    if options.schedule != "cosine":
        raise BadUsage(f"There is no schedule {options.schedule!r}.", "There is: constant, cosine.")
    if steps is None:
        raise BadUsage("The cosine schedule needs a known number of steps; a stream has none.", "Use constant.")
    rise = max(1, round(WARM_UP * steps))

    def rate(step: int) -> float:
        if step < rise:
            return (step + 1) / rise
        return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))

    return LambdaLR(optimiser, rate)
