"""Whether it pays to compile a net: asked only of long runs, answered by trying, fixed in the run's recipe."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, replace
from math import inf

import torch
from torch import nn

from benchdog.data.sampler import micro_batches
from benchdog.errors import BadUsage, NotAvailable
from benchdog.model.flops import scalar
from benchdog.recipe.recipe import AUTO, with_options
from benchdog.training.batch_size import short
from benchdog.training.rank import Measurement, measure_steps, rehearsed
from benchdog.training.setup import Components, rebuilt

OPTION = "compile"
TRAINER = "supervised"
BACKENDS = ("cpu", "cuda")
LONG = 600.0
"""Seconds of steps from which compiling is considered."""
SECONDS = 3.0
"""How long steps are timed: as they are, compiled, and as they are once more."""
GAIN = 0.1
"""Share of a step's time that must be won; less is noise."""
MARGIN = 3.0
"""How many times the compiling must be won back."""
TRIES = 3
FEW, MORE = 2, 16
"""How many samples a step is estimated from: more where the few say that the run is long."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided, and why, in a sentence; `told` if a person should read it."""

    yes: bool
    why: str
    told: bool = True

    def __str__(self) -> str:
        return f"{'compiled' if self.yes else 'not compiled'}: {self.why}"


def decide(parts: Components, model: nn.Module, seconds: float = 0.0) -> Decision | None:
    """Decide `trainer.compile = "auto"` and write the answer into the recipe; None where nothing is open.

    Args:
        parts: of the run.
        model: one like that which will be trained.
        seconds: a time that the run is to end in; else its epochs say how long it is.
    """
    recipe = parts.recipe
    if recipe.trainer.name != TRAINER or recipe.trainer.options.get(OPTION) != AUTO:
        return None
    decision = _considered(parts, model, seconds)
    parts.recipe = with_options(recipe, compile="yes" if decision.yes else "no")
    return decision


def _considered(parts: Components, model: nn.Module, seconds: float) -> Decision:
    """Ask what costs nothing first."""
    recipe, count = parts.recipe, parts.data.sizes()["train"]
    if count is None:
        return Decision(False, "how many steps a stream has isn't known", told=False)
    steps = recipe.loop.epochs * -(-count // recipe.loop.batch)
    if seconds and seconds < LONG:
        return _brief(seconds)
    for samples in () if seconds else (FEW, min(MORE, recipe.loop.batch)):
        if (most := steps * most_of_a_step(parts, model, samples)) < LONG:
            return _brief(most)
        if most > LONG * MORE / FEW:
            break  # more samples take as long as few at least, so they would say "long" too
    if recipe.backend.name not in BACKENDS or int(recipe.backend.options.get("ranks", 1)) > 1:
        return Decision(False, "auto tries it on one cpu or one cuda card alone", told=False)
    if parts.live or any(None in field.shape for field in parts.spec.fields):
        why = "a live object can't be tried twice" if parts.live else "the inputs may have any size"
        return Decision(False, why, told=False)
    return _tried(parts, steps, seconds)


def _brief(seconds: float) -> Decision:
    return Decision(False, f"the run takes at most {lasting(seconds)}, too short for it to pay", told=False)


def most_of_a_step(parts: Components, model: nn.Module, samples: int) -> float:
    """Estimate the seconds of a step from above: some made-up samples take more than their share of a batch.

    Counting operations would need torch's compiler, whose import alone takes a second, and a guess of the speed.
    """
    inputs = parts.made_up(samples)
    training, best = model.training, inf
    try:
        model.eval()  # running statistics stay as they are
        for _ in range(TRIES):
            begun = time.perf_counter()
            scalar(model(*inputs)).backward()  # type: ignore[no-untyped-call]
            best = min(best, time.perf_counter() - begun)
    except RuntimeError:
        return inf  # nothing of it learns as it is, or it isn't for this processor; the trial will tell
    finally:
        model.zero_grad(set_to_none=True)
        model.train(training)
    return best / samples * parts.recipe.loop.batch


def _tried(parts: Components, steps: int, seconds: float) -> Decision:
    """Time steps as they are; where they are many, compile and time them again."""
    other = rebuilt(parts)
    plain, made = with_options(parts.recipe, compile="no"), with_options(parts.recipe, compile="yes")
    other.recipe = made  # whose programs are kept where a run's are
    with rehearsed(other) as given:
        other.recipe = plain
        try:
            now = measure_steps(other, given, SECONDS)
        except BadUsage as error:
            return Decision(False, error.message.rstrip("."), told=False)
        left = int(seconds / now.quick) if seconds else steps
        if left * now.quick < LONG:
            return _brief(left * now.quick)
        print("a long run: trying whether compiling the net pays", file=sys.stderr, flush=True)
        other.recipe = made
        try:
            then = measure_steps(other, given, SECONDS)
        except NotAvailable as error:
            return Decision(False, error.message.rstrip("."))
        except (MemoryError, RuntimeError) as error:  # the same steps were done before, uncompiled
            what = "the memory isn't enough for it" if short(error) else f"the trial failed, {type(error).__name__}"
            return Decision(False, what)
        other.recipe = plain
        later = measure_steps(other, given, SECONDS)
    now = replace(now, quick=min(now.quick, later.quick))  # else another program's work would be taken for a gain
    return is_worth_it(now, then, left, programs(other))


def is_worth_it(now: Measurement, then: Measurement, steps: int, count: int) -> Decision:
    """Compare what compiling costs with what it wins.

    Args:
        now: steps as they are.
        then: compiled ones.
        steps: how many are to come.
        count: programs that the run needs; one was made.
    """
    cost = max(0.0, then.first - now.first) * count
    won = (now.quick - then.quick) * steps
    times = f"a step takes {then.quick * 1000:.3g} ms in place of {now.quick * 1000:.3g} ms"
    if then.quick > (1 - GAIN) * now.quick:
        return Decision(False, f"compiled, {times}")
    if won < MARGIN * cost:
        return Decision(False, f"compiled, {times}; {lasting(won)} won, but {lasting(cost)} needed for compiling")
    return Decision(True, f"{times}; {lasting(won)} won, {lasting(cost)} needed for compiling")


def programs(parts: Components) -> int:
    """Count the sizes of pieces that the training split's batches are computed in."""
    loop, count = parts.recipe.loop, parts.data.sizes()["train"] or 0
    sizes = {min(loop.batch, count), count % loop.batch} - {0}
    return len({len(piece) for size in sizes for piece in micro_batches(torch.arange(size), 0, 1, loop.accumulate)})


def lasting(seconds: float) -> str:
    """Write a duration for a sentence: "40 s", "12 min", "3.5 h"."""
    if seconds < 100:
        return f"{seconds:.2g} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
