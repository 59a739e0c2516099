"""Compatibility of plugins: which contract numbers are supported, and the shims for the one before this.

A plugin written for contract n works with n, through a shim with n + 1, and is disabled by name with n + 2.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from types import ModuleType
from typing import Any

from benchdog import api


def objection(number: object, this: int, whose: str) -> tuple[str, str] | None:
    """Return what is wrong with a plugin's contract number and how to fix it; None if contract `this` supports it."""
    if type(number) is not int or number < 0:
        return (
            f"declares CONTRACT = {number!r}, which is not a contract number",
            f"Write CONTRACT = {this} in {whose}.",
        )
    if number > this:
        remedy = f"Update Benchdog, or install a version of {whose} that is written for contract {this}."
        return f"is written for contract {number}; this Benchdog has contract {this}", remedy
    if number < this - 1:
        older = f"contract {this} and supports plugins written for {this - 1}"
        return f"is written for contract {number}; this Benchdog has {older}", f"Update {whose}."
    return None


def note(number: int | None, this: int = api.CONTRACT) -> str:
    """Return a note on a working plugin: its contract is deprecated or undeclared; "" if there is none."""
    if number is None:
        return "declares no contract"
    if number == this:
        return ""
    return f"written for contract {number}: works through a shim until contract {number + 2}"


def advice(number: int | None, whose: str, this: int = api.CONTRACT) -> str:
    """Return what to do about that note."""
    if number is None:
        return f"The author of {whose} must write CONTRACT = {this} next to its hooks."
    return f"Update {whose}, or point its author to docs/reference/contract.md." if number != this else ""


def warn(module: ModuleType, number: int | None) -> None:
    """Raise a DeprecationWarning in the plugin's own module, so that its tests show it and its users don't see it."""
    if number is not None and (text := note(number)):
        registry = vars(module).setdefault("__warningregistry__", {})
        file = module.__file__ or module.__name__
        warnings.warn_explicit(text, DeprecationWarning, file, 1, module.__name__, registry)


def adapt(kind: str, component: Any, number: int | None) -> Any:
    """Wrap a component of the contract before in the shim that gives it this contract's members, if it needs one."""
    shim = SHIMS.get(kind) if number == api.CONTRACT - 1 else None
    return component if shim is None else shim(component)


class _TrainerShim:
    """A trainer of contract 0, whose `check` took model, stages, steps and task one by one."""

    def __init__(self, trainer: Any) -> None:
        self._trainer = trainer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._trainer, name)

    def check(self, trial: api.Trial, /) -> None:
        """Call the old form of `check`."""
        self._trainer.check(trial.model, trial.stages, trial.steps, trial.task)


SHIMS: dict[str, Callable[[Any], Any]] = {
    "trainer": lambda trainer: _TrainerShim(trainer) if hasattr(trainer, "check") else trainer,
}
"""What adapts a component of the contract before, by kind. They are replaced whenever CONTRACT is raised."""
