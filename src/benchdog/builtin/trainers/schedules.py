"""How the learning rate changes: curves of our own by the step, or torch's schedulers by name."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from functools import partial
from typing import Any, Literal

from torch.optim import Optimizer, lr_scheduler
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR, ReduceLROnPlateau

from benchdog.api import BadUsage
from benchdog.builtin.class_references import arguments, named
from benchdog.builtin.trainers.options import Supervised as Options

CURVES = ("constant", "linear", "cosine")
OTHERS = {"one-cycle": OneCycleLR, "plateau": ReduceLROnPlateau}
HELD = "takes functions or other schedules, which a recipe can't hold"
BASES = "is only what others are made from"
UNFIT = dict.fromkeys(("LambdaLR", "MultiplicativeLR", "SequentialLR", "ChainedScheduler"), HELD)
UNFIT |= dict.fromkeys(("LRScheduler", "_LRScheduler"), BASES)
WHOLE = {"step_size": 1, "T_max": 1, "T_0": 1, "total_steps": 1, "epochs": 1, "steps_per_epoch": 1, "milestones": 0}
"""Arguments of torch's schedulers that count steps or epochs, and the least they can be."""
AMISS = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""What torch's schedulers raise for arguments that they can't use, some of them only when they move."""
BY_STEP = ("OneCycleLR", "CyclicLR")
"""torch's schedulers that are meant to move with each step; the others move with each epoch."""


class Constant:
    """The schedule that changes nothing, at no cost per step."""

    def step(self) -> None:
        """Do nothing."""

    def epoch_done(self, metrics: Mapping[str, Any]) -> None:
        """Do nothing."""

    def state_dict(self) -> dict[str, Any]:
        """Return nothing: there is no state."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take nothing."""


class Schedule(Constant):
    """A scheduler of torch's, moved with each step, each epoch, or by each epoch's metric."""

    def __init__(
        self,
        scheduler: LRScheduler,
        every: Literal["step", "epoch", "metric"],
        monitor: str = "",
        steps: int | None = None,
    ) -> None:
        self.scheduler, self.every, self.monitor, self.steps = scheduler, every, monitor, steps

    def step(self) -> None:
        """A step was done."""
        if self.every == "step":
            self._move()

    def epoch_done(self, metrics: Mapping[str, Any]) -> None:
        """An epoch was done and judged."""
        if self.every == "epoch":
            self._move()
        elif self.every == "metric":
            self._move(metrics.get(self.monitor, math.nan))

    def _move(self, *metric: Any) -> None:
        try:
            self.scheduler.step(*metric)
        except AMISS as error:
            raise amiss(type(self.scheduler).__name__, error) from None

    def state_dict(self) -> dict[str, Any]:
        """Return what a resume needs."""
        return dict(self.scheduler.state_dict())

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what was stored; BadUsage when the run has more steps by now than it was made for."""
        _long_enough(
            type(self.scheduler).__name__,
            state.get("total_steps"),
            self.steps,
            "A run resumes as it began: reset loop.epochs, or start a new run.",
        )
        self.scheduler.load_state_dict(state)


def rate(step: int, *, curve: str, rise: int, steps: int) -> float:
    """Return the factor of the learning rate at a step counted from 0: a rise, then the curve down to 0."""
    if step < rise:
        return (step + 1) / rise
    done = min(1.0, (step - rise) / max(1, steps - rise))
    if curve == "cosine":
        return 0.5 * (1 + math.cos(math.pi * done))
    return 1 - done if curve == "linear" else 1.0


def make_schedule(
    options: Options, optimizer: Optimizer, steps: int | None, monitor: str, better: str
) -> Constant | Schedule:
    """Build the schedule.

    Args:
        options: name, arguments, warm-up.
        optimizer: whose rates change.
        steps: all steps of the run; None for a stream.
        monitor: the metric that `plateau` watches; `better` is its direction, "max" or "min".

    Raises:
        BadUsage: no such schedule, other arguments, or one that needs the length of a stream.
    """
    if options.schedule in CURVES:
        return _curve(options, optimizer, steps)
    cls: Any = OTHERS.get(options.schedule) or named(
        options.schedule, lr_scheduler, LRScheduler, "schedule", (*CURVES, *OTHERS), UNFIT
    )
    if options.warmup:
        raise BadUsage(
            f"The schedule {options.schedule!r} has no warm-up.", f"Warm-up goes with {', '.join(CURVES)}."
        )
    given = arguments(cls, options.schedule_options, "schedule_options")
    if cls.__module__ == lr_scheduler.__name__:
        _counted(options.schedule, given)
    taken = inspect.signature(cls).parameters
    if "total_steps" in taken and not {"total_steps", "epochs"} & set(given):
        given["total_steps"] = _known(steps, options.schedule)
    if cls is OneCycleLR:
        given.setdefault("max_lr", [group["lr"] for group in optimizer.param_groups])
    if cls is ReduceLROnPlateau:
        given.setdefault("mode", better)
    try:
        scheduler = cls(optimizer, **given)
    except AMISS as error:
        raise amiss(options.schedule, error) from None
    _long_enough(
        options.schedule,
        getattr(scheduler, "total_steps", None),
        steps,
        "Leave total_steps out of trainer.schedule_options: then it is the run's.",
    )
    if isinstance(scheduler, ReduceLROnPlateau):
        return Schedule(scheduler, "metric", monitor)
    return Schedule(scheduler, "step" if cls.__name__ in BY_STEP else "epoch", steps=steps)


def _long_enough(schedule: str, length: int | None, steps: int | None, hint: str) -> None:
    if steps is not None and length is not None and length < steps:
        raise BadUsage(f"The schedule {schedule!r} ends at step {length}; the run has {steps}.", hint)


def _counted(schedule: str, given: Mapping[str, Any]) -> None:
    """Refuse counts that torch would take in silence, or trip over."""
    for name in WHOLE.keys() & given.keys():
        value, least = given[name], WHOLE[name]
        for count in value if isinstance(value, tuple) else (value,):
            if not isinstance(count, int) or isinstance(count, bool) or count < least:
                raise BadUsage(
                    f"schedule {schedule!r}: {name} is {count!r}; it must be a whole number from {least}.",
                    "Look at trainer.schedule_options.",
                )


def _curve(options: Options, optimizer: Optimizer, steps: int | None) -> Constant | Schedule:
    if options.schedule_options:
        raise BadUsage(
            f"The schedule {options.schedule!r} takes no schedule_options.", "Its warm-up is trainer.warmup."
        )
    if options.warmup == math.inf:
        has = "" if steps is None else f", the run has {steps}"
        raise BadUsage(
            f"The warm-up takes endlessly many steps{has}: the rate would never be trainer.lr.",
            "Set trainer.warmup as a number of steps, or below 1 as a share of the run.",
        )
    needs_length = options.schedule != "constant" or 0 < options.warmup < 1
    length = _known(steps, options.schedule) if needs_length else 0
    rise = round(options.warmup * length) if options.warmup < 1 else round(options.warmup)
    if options.schedule == "constant" and not rise:
        return Constant()
    if steps is not None and rise >= steps:
        raise BadUsage(
            f"The warm-up takes {rise} steps, the run has {steps}: the rate would never be trainer.lr.",
            "Use a smaller trainer.warmup (below 1 it is a share of the run), or more --epochs.",
        )
    shape = partial(rate, curve=options.schedule, rise=rise, steps=length)
    return Schedule(LambdaLR(optimizer, shape), "step")


def tried(schedule: Constant | Schedule, optimizer: Optimizer, monitor: str) -> None:
    """Move a schedule that isn't used any more by a step and an epoch; BadUsage when it can't."""
    optimizer._opt_called = True  # type: ignore[attr-defined]  # else it warns: no step was done
    schedule.step()
    schedule.epoch_done({monitor: 0.0})


def amiss(schedule: str, error: Exception) -> BadUsage:
    """Return the error for arguments that a schedule can't use."""
    said = str(error).rstrip(".") or type(error).__name__
    return BadUsage(f"schedule {schedule!r}: {said}.", "Look at trainer.schedule_options.")


def _known(steps: int | None, schedule: str) -> int:
    if steps is None:
        raise BadUsage(
            f"The schedule {schedule!r} needs a known number of steps; a stream has none.",
            "Use constant, plateau, or a warm-up in steps.",
        )
    return steps
