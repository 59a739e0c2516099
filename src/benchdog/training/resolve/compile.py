"""Whether torch.compile is worth it: tried in long runs alone, and fixed in the run's recipe."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from math import inf

from torch import nn

from benchdog.data.sampler import micro_batch_sizes
from benchdog.errors import BadUsage, NotAvailable
from benchdog.model.flops import scalar
from benchdog.recipe.recipe import AUTO
from benchdog.training.progress import say
from benchdog.training.resolve.batch_size import out_of_memory
from benchdog.training.resolve.benchmark import StepTimes, measure_steps, rehearsal
from benchdog.training.resolve.decision import Decision
from benchdog.training.setup import Components, rebuilt

OPTION = "compile"
TRAINER = "supervised"
BACKENDS = ("cpu", "cuda")
LONG = 600.0
"""Seconds of steps from which compiling is considered."""
SECONDS = 3.0
"""Seconds that steps are timed: uncompiled, compiled, and uncompiled once more."""
GAIN = 0.1
"""Share of a step's time that must be saved; less is noise."""
MARGIN = 3.0
"""How many times the cost of compiling must be saved."""
TRIES = 3
FEW, MORE = 2, 16
"""Samples that a step is estimated from: more where the few suggest that the run is long."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether to compile, and why, in a sentence; `shown` if a person should read it."""

    yes: bool
    why: str
    shown: bool = True

    def __str__(self) -> str:
        return f"{'compiled' if self.yes else 'not compiled'}: {self.why}"


def choose_compile(components: Components, model: nn.Module | None, seconds: float = 0.0) -> Decision | None:
    """Decide `trainer.compile = "auto"`; None where it isn't open.

    Args:
        components: of the run.
        model: one like that which will be trained; None if the trainer brings its own.
        seconds: the time budget; 0 if the epochs determine how long the run is.
    """
    trainer = components.recipe.trainer
    if model is None or trainer.name != TRAINER or trainer.options.get(OPTION) != AUTO:
        return None
    verdict = _verdict(components, model, seconds)
    values = {f"trainer.{OPTION}": "yes" if verdict.yes else "no"}
    return Decision(values=values, note=str(verdict) if verdict.shown else "", log=str(verdict))


def _verdict(components: Components, model: nn.Module, seconds: float) -> Verdict:
    """Decide by what costs nothing first, then by an estimate, then by trying."""
    recipe, steps = components.recipe, components.steps.total
    if steps is None:
        return Verdict(False, "how many steps a stream has isn't known", shown=False)
    if seconds and seconds < LONG:
        return _too_short(seconds)
    for samples in () if seconds else (FEW, min(MORE, recipe.loop.batch)):
        if (most := steps * most_of_a_step(components, model, samples)) < LONG:
            return _too_short(most)
        if most > LONG * MORE / FEW:
            break  # more samples take at least as long as few, so their estimate would be long too
    if recipe.backend.name not in BACKENDS or recipe.ranks > 1:
        return Verdict(False, "auto tries it on a single cpu or cuda device only", shown=False)
    if components.live or any(None in field.shape for field in components.spec.fields):
        why = "a live object can't be tried twice" if components.live else "the inputs may have any size"
        return Verdict(False, why, shown=False)
    return _tried(components, steps, seconds)


def _too_short(seconds: float) -> Verdict:
    return Verdict(False, f"the run takes at most {lasting(seconds)}, too short for it to pay off", shown=False)


def most_of_a_step(components: Components, model: nn.Module, samples: int) -> float:
    """Estimate the seconds of a step from above: a few synthetic samples take more than their share of a batch.

    Counting operations would need torch's compiler, whose import alone takes a second, and a guess of the speed.
    """
    inputs = components.synthetic_inputs(samples)
    training, best = model.training, inf
    try:
        model.eval()  # running statistics stay as they are
        for _ in range(TRIES):
            begun = time.perf_counter()
            scalar(model(*inputs)).backward()  # type: ignore[no-untyped-call]
            best = min(best, time.perf_counter() - begun)
    except RuntimeError:
        return inf  # nothing of it requires gradients, or it isn't for this CPU; trying will show
    finally:
        model.zero_grad(set_to_none=True)
        model.train(training)
    return best / samples * components.recipe.loop.batch


def _tried(components: Components, steps: int, seconds: float) -> Verdict:
    """Time uncompiled steps; where they are many, compile and time them again."""
    compiled = rebuilt(components.with_values({f"trainer.{OPTION}": "yes"}))
    plain = compiled.with_values({f"trainer.{OPTION}": "no"})
    with rehearsal(compiled) as arguments:  # whose compiled code is kept where a run's is
        try:
            now = measure_steps(plain, arguments, SECONDS)
        except BadUsage as error:
            return Verdict(False, error.message.rstrip("."), shown=False)
        left = int(seconds / now.quick) if seconds else steps
        if left * now.quick < LONG:
            return _too_short(left * now.quick)
        say("a long run: trying whether compiling the model pays off")
        try:
            then = measure_steps(compiled, arguments, SECONDS)
        except NotAvailable as error:
            return Verdict(False, error.message.rstrip("."))
        except (MemoryError, RuntimeError) as error:  # the same steps were done before, uncompiled
            oom = out_of_memory(error)
            return Verdict(False, "out of memory" if oom else f"compiling failed with {type(error).__name__}")
        later = measure_steps(plain, arguments, SECONDS)
    now = replace(now, quick=min(now.quick, later.quick))  # else the load of another program would count as a gain
    return is_worth_it(now, then, left, programs(compiled))


def is_worth_it(now: StepTimes, then: StepTimes, steps: int, count: int) -> Verdict:
    """Compare the cost of compiling with what it saves.

    Args:
        now: of uncompiled steps.
        then: of compiled ones.
        steps: how many the run has.
        count: programs that the run needs; one was compiled.
    """
    cost = max(0.0, then.first - now.first) * count
    saved = (now.quick - then.quick) * steps
    times = f"a step takes {then.quick * 1000:.3g} ms in place of {now.quick * 1000:.3g} ms"
    if then.quick > (1 - GAIN) * now.quick:
        return Verdict(False, f"compiled, {times}")
    if saved < MARGIN * cost:
        return Verdict(False, f"compiled, {times}; {lasting(saved)} saved, but {lasting(cost)} needed for compiling")
    return Verdict(True, f"{times}; {lasting(saved)} saved, {lasting(cost)} needed for compiling")


def programs(components: Components) -> int:
    """Count the sizes of the training split's micro-batches: a program is compiled for each."""
    loop, count = components.recipe.loop, components.data.training_samples or 0
    return len(micro_batch_sizes(count, loop.batch, 1, loop.accumulate))


def lasting(seconds: float) -> str:
    """Format a duration for a sentence: "40 s", "12 min", "3.5 h"."""
    if seconds < 100:
        return f"{seconds:.2g} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
