"""The optimizer by name, and the limits to its gradients."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn

from benchdog.api import BadUsage
from benchdog.builtin.backends.optimizer_import import plain_step, spare_the_compiler
from benchdog.builtin.class_references import arguments, named
from benchdog.builtin.trainers.options import Supervised as Options

TAKEN = ("lr", "weight_decay")
"""Arguments that are options of the trainer itself."""
AMISS = (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""What torch's optimizers raise for arguments that they can't use, some of them only when they step."""
UNFIT = {
    "LBFGS": "evaluates the model several times a step, which this trainer doesn't do",
    "SparseAdam": "needs sparse gradients, which no model here has",
}


def make_optimizer(
    options: Options, model: nn.Module, groups: list[dict[str, Any]] | None = None
) -> torch.optim.Optimizer:
    """Build the optimizer, fused where it has that, for groups of parameters; None: all that learn, as one.

    Raises:
        BadUsage: there is no such optimizer, or it doesn't take these settings.
    """
    cls, more = _class_of(options)
    if groups is None:
        groups = [{"params": [p for p in model.parameters() if p.requires_grad]}]
    if not any(group["params"] for group in groups):
        raise BadUsage("The model has no parameters that learn.", "Choose another --model.")
    try:
        made: torch.optim.Optimizer = cls(groups, **more)
    except AMISS as error:
        raise _amiss(options, error) from None
    return made


def try_optimizer(options: Options) -> None:
    """Let a tiny optimizer of the same kind step: what its arguments can't do shows only there.

    Raises:
        BadUsage: it can't.
    """
    cls, more = _class_of(options)
    device = torch.device("cpu")
    if more.get("capturable") and (accelerator := torch.accelerator.current_accelerator(True)) is not None:
        device = accelerator  # a CPU can't do that
    tiny = nn.Parameter(torch.zeros(2, 2, device=device))
    tiny.grad = torch.zeros_like(tiny)
    try:
        plain_step(cls([tiny], **more))
    except AMISS as error:
        raise _amiss(options, error) from None


def _class_of(options: Options) -> tuple[Any, dict[str, Any]]:
    """Return the optimizer's class and its arguments."""
    spare_the_compiler()
    cls: Any = named(options.optimizer, torch.optim, torch.optim.Optimizer, "optimizer", unfit=UNFIT)
    taken = inspect.signature(cls).parameters
    more = {"lr": options.lr, **arguments(cls, options.optimizer_options, "optimizer_options", TAKEN)}
    if options.weight_decay or "weight_decay" in taken:  # 0 is said too: AdamW's own is another
        more["weight_decay"] = options.weight_decay
    if "fused" in taken and not {"foreach", "fused", "differentiable", "capturable"} & set(more):
        more["fused"] = True
    return cls, more


def _amiss(options: Options, error: Exception) -> BadUsage:
    own = options.optimizer_options
    hint = "Look at trainer.optimizer_options." if own else "Choose another trainer.optimizer."
    said = str(error).rstrip(".") or type(error).__name__
    return BadUsage(f"optimizer {options.optimizer!r}: {said}.", hint)


def make_limit(options: Options, parameters: list[nn.Parameter]) -> Callable[[], Any] | None:
    """Return what limits the gradients before a step; None when nothing does."""
    limits: list[Callable[[], Any]] = []
    if options.clip_value:
        limits.append(partial(nn.utils.clip_grad_value_, parameters, options.clip_value))
    if options.clip_norm:
        limits.append(partial(nn.utils.clip_grad_norm_, parameters, options.clip_norm))
    if not limits:
        return None

    def limit() -> None:
        for each in limits:
            each()

    return limit
