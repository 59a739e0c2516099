"""Optimizers without torch's compiler: 90 MB and a second or two less where nothing is compiled."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch.optim import Optimizer
from torch.optim import optimizer as torch_optimizer

MARK = "__dynamo_disable"
"""Where torch keeps a method that its compiler leaves alone, once it has been made."""
_plain: dict[type, Callable[[Any], Any] | None] = {}


def spare_the_compiler() -> None:
    """Let optimizers be made without importing the compiler.

    torch takes three of their methods out of the compiler's reach, and imports it for that when one is first
    called. Uncompiled they are what they are. Without these names inside torch nothing happens, and the import is
    back.
    """
    for name in ("add_param_group", "state_dict", "load_state_dict"):
        inner = getattr(getattr(Optimizer, name), "__wrapped__", None)
        if inner is not None and not hasattr(inner, MARK):
            setattr(inner, MARK, inner)


def plain_step(optimizer: Any) -> None:
    """Let an optimizer step.

    The step of one of torch's own is called without what is around it, which imports the compiler to tell it
    where to stop, unless there are hooks that want to hear of it or the step itself is to be differentiated.
    """
    cls = type(optimizer)
    if cls not in _plain:
        _plain[cls] = inspect.unwrap(cls.step) if cls.__module__.startswith("torch.optim.") else None
    plain = _plain[cls]
    if plain is None or optimizer.defaults.get("differentiable") or _heard(optimizer):
        optimizer.step()
        return
    optimizer._opt_called = True  # a scheduler looks at this, and warns of steps left out
    with torch.no_grad():
        plain(optimizer)


def _heard(optimizer: Optimizer) -> bool:
    own = vars(optimizer).get("step")  # a scheduler puts its own here, which is no more than the line above
    return bool(
        (own is not None and not hasattr(own, "_wrapped_by_lr_sched"))
        or optimizer._optimizer_step_pre_hooks
        or optimizer._optimizer_step_post_hooks
        or torch_optimizer._global_optimizer_pre_hooks
        or torch_optimizer._global_optimizer_post_hooks
    )
