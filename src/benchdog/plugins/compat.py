"""Plugins written for an earlier contract: which are taken, and what makes them fit this one.

The contract before this one still works, through the shims below. They go with the next contract: what is
written for contract n is adapted by contract n + 1 and set aside by name by contract n + 2.
"""

from __future__ import annotations

import warnings
from types import ModuleType
from typing import Any

from benchdog import api


def objection(number: object, this: int, whose: str) -> tuple[str, str] | None:
    """Say what is wrong with a plugin's number and what mends it; None when contract `this` takes it."""
    if type(number) is not int or number < 0:
        return (
            f"declares CONTRACT = {number!r}, which is no contract's number",
            f"Write CONTRACT = {this} in {whose}.",
        )
    if number > this:
        remedy = f"Update Benchdog, or take a version of {whose} that is written for contract {this}."
        return f"is written for contract {number}; this Benchdog has contract {this}", remedy
    if number < this - 1:
        older = f"contract {this} and takes what is written for {this - 1}"
        return f"is written for contract {number}; this Benchdog has {older}", f"Update {whose}."
    return None


def note(number: int | None, this: int = api.CONTRACT) -> str:
    """Say what is to be known of a plugin that works: nothing, or that its contract is going, or undeclared."""
    if number is None:
        return "declares no contract"
    if number == this:
        return ""
    return f"written for contract {number}: works through a shim until contract {number + 2}"


def advice(number: int | None, whose: str, this: int = api.CONTRACT) -> str:
    """Say what to do about that note."""
    if number is None:
        return f"The author of {whose} writes CONTRACT = {this} beside its hooks."
    return f"Update {whose}, or tell its author of docs/reference/contract.md." if number != this else ""


def warn(module: ModuleType, number: int | None) -> None:
    """Warn the author of a plugin of an earlier contract: seen in the tests of the plugin, not by its users."""
    if number is not None and (text := note(number)):
        told = vars(module).setdefault("__warningregistry__", {})
        file = module.__file__ or module.__name__
        warnings.warn_explicit(text, DeprecationWarning, file, 1, module.__name__, told)


def adapt(kind: str, made: Any, number: int | None) -> Any:
    """Give a component of an earlier contract the form that this one has."""
    if number == 0 and kind == "trainer" and hasattr(made, "check"):
        return TrainerOf0(made)
    return made


class TrainerOf0:
    """A trainer of contract 0, whose `check` took model, stages, steps and task one by one."""

    def __init__(self, trainer: Any) -> None:
        self._trainer = trainer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._trainer, name)

    def check(self, trial: api.Trial, /) -> None:
        """Ask in the old way."""
        self._trainer.check(trial.model, trial.stages, trial.steps, trial.task)
