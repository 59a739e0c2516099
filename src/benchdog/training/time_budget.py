"""How many epochs fit into a time: measured before the run, then fixed in its recipe, so that it stays exact."""

from __future__ import annotations

import re
import time
from dataclasses import replace

from benchdog.errors import BadUsage
from benchdog.training.rank import measure
from benchdog.training.setup import Components

UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
RESERVED = 0.05
"""Share of the time kept for what the measurement can't see."""
AFTER = 12.0
"""Seconds kept for the artifact, its graph and the report, at most a fifth of the time."""


def seconds_of(text: str) -> float:
    """Read a time: "90s", "10m", "1h30m".

    Raises:
        BadUsage: it is none.
    """
    found = re.findall(r"(\d+(?:\.\d+)?)([smhd])", text)
    if not found or "".join(n + u for n, u in found) != text or not sum(float(n) for n, _ in found):
        raise BadUsage(f"{text!r} is not a time.", "Write 90s, 10m or 1h30m.")
    return sum(float(number) * UNITS[unit] for number, unit in found)


def within(parts: Components, seconds: float) -> str:
    """Set the epochs of a recipe so that its run ends in time; give a sentence about it.

    Raises:
        BadUsage: not even one epoch fits, or steps can't be counted.
    """
    begun = time.perf_counter()
    recipe = parts.recipe
    count, ranks = parts.data.sizes()["train"], recipe.ranks
    if count is None or ranks > 1:
        why = "a stream's length isn't known" if count is None else "only one rank can be measured"
        raise BadUsage(f"--time can't be kept: {why}.", "Give --epochs.")
    found = measure(parts)
    epoch = found.step * -(-count // recipe.loop.batch) + found.evaluation
    left = seconds * (1 - RESERVED) - min(AFTER, seconds / 5) - (time.perf_counter() - begun) - found.first
    epochs = int(left / epoch)
    if epochs < 1:
        raise BadUsage(
            f"An epoch takes about {epoch:.0f} s here, which doesn't fit into {seconds:.0f} s.",
            "Give more --time, a smaller model, or fewer samples.",
        )
    parts.recipe = replace(recipe, loop=replace(recipe.loop, epochs=epochs))
    each = f"a step takes {found.step * 1000:.3g} ms, an evaluation {found.evaluation:.2g} s"
    return f"{epochs} epochs fit into {seconds:.0f} s: {each}"
