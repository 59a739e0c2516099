"""Time budget (`--time`): steps are measured before the run, and the epochs fixed in its recipe."""

from __future__ import annotations

import re
import time

from torch import nn

from benchdog.errors import BadUsage
from benchdog.training.resolve.benchmark import measure_training
from benchdog.training.resolve.decision import Decision
from benchdog.training.setup import Components

UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
RESERVED = 0.05
"""Share of the time reserved for what the measurement can't see."""
AFTER = 12.0
"""Seconds reserved for the artifact, its graph and the report, at most a fifth of the time."""


def seconds_of(text: str) -> float:
    """Parse a duration: "90s", "10m", "1h30m".

    Raises:
        BadUsage: it is not a duration.
    """
    parts = re.findall(r"(\d+(?:\.\d+)?)([smhd])", text)
    if not parts or "".join(n + u for n, u in parts) != text or not sum(float(n) for n, _ in parts):
        raise BadUsage(f"{text!r} is not a time.", "Write 90s, 10m or 1h30m.")
    return sum(float(number) * UNITS[unit] for number, unit in parts)


def fit_epochs(components: Components, model: nn.Module | None, seconds: float) -> Decision | None:
    """Decide the epochs so that the run ends in time; None without a time budget.

    Raises:
        BadUsage: not even one epoch fits, or steps can't be counted.
    """
    if not seconds:
        return None
    begun = time.perf_counter()
    per_epoch = components.steps.per_epoch
    if per_epoch is None or components.recipe.ranks > 1 or components.brings_data:
        why = "a stream's length isn't known" if per_epoch is None else "only one rank can be measured"
        why = "the trainer brings its own data" if components.brings_data else why
        raise BadUsage(f"--time can't be kept: {why}.", "Set --epochs.")
    measured = measure_training(components)
    epoch = measured.step * per_epoch + measured.evaluation
    left = seconds * (1 - RESERVED) - min(AFTER, seconds / 5) - (time.perf_counter() - begun) - measured.first
    epochs = int(left / epoch)
    if epochs < 1:
        raise BadUsage(
            f"An epoch takes about {epoch:.0f} s here, which doesn't fit into {seconds:.0f} s.",
            "Raise --time, choose a smaller model, or use fewer samples.",
        )
    each = f"a step takes {measured.step * 1000:.3g} ms, an evaluation {measured.evaluation:.2g} s"
    return Decision(values={"loop.epochs": epochs}, note=f"{epochs} epochs fit into {seconds:.0f} s: {each}")
