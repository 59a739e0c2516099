"""Learning-rate range test (Smith 2015, arXiv:1506.01186).

One short training whose rate grows geometrically with each step: where the loss falls, and where it rises again.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor, nn

from benchdog.errors import BadUsage, Failed, Stopped
from benchdog.recipe.draft import Draft
from benchdog.training.progress import silent
from benchdog.training.resolve import measure, resolve
from benchdog.training.resolve.batch_dependence import refuse_single_samples
from benchdog.training.resolve.benchmark import Enough, rehearsal
from benchdog.training.session import Session
from benchdog.training.setup import Components

STEPS = 100
FIRST, LAST = 1e-7, 10.0
TRAINER = "supervised"
PLAIN: dict[str, Any] = {
    "schedule": "constant",
    "schedule_options": {},
    "warmup": 0.0,
    "average": "none",
    "compile": "no",
}
"""Options of the trainer under which nothing but the test changes the rate."""
KEPT = 0.9
"""Share of the running mean that a step leaves; it decides when to stop."""
FACTOR = 4.0
"""How far the running mean may rise above its lowest."""
WIDTH = 0.25
"""Decades over which the curve is smoothed before its slope is taken: the deviation of a Gaussian."""
LEVEL = 0.1
"""Share of its fall by which the loss may lie above its lowest and still count as low."""
DOUBT = 2.0
"""The same in deviations of the curve: less than that may be chance."""
SHARE = 0.1
"""The suggestion as a share of the rate in the middle of those at which the loss was low."""
FALL = 0.02
"""Share of its first value by which the loss must have fallen, else nothing can be read from it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Curve:
    """The result of a range test.

    Attributes:
        rates: of each step, increasing.
        losses: of the batch after each step, per unit of its weight.
        smoothed: the same curve without the batches' noise.
        steepest: the rate at which it falls fastest.
        low: the rates from which and to which it is low: no higher than its lowest but for little, or for chance.
        middle: that valley's middle, on the logarithmic scale.
        suggestion: a rate to train with; None when the loss didn't fall.
        ended: why it ended.
    """

    rates: Sequence[float]
    losses: Sequence[float]
    smoothed: Sequence[float]
    steepest: float
    low: tuple[float, float]
    middle: float
    suggestion: float | None
    ended: str

    @property
    def ceiling(self) -> float:
        """A loss a little above those before the lowest; a plot up to the last ones would show little else."""
        y = self.smoothed
        low = min(y)
        before = max(y[: y.index(low) + 1])
        return before + 0.25 * (before - low or abs(before) or 1.0)

    def to_json(self) -> dict[str, Any]:
        """Return the form that `--json` prints."""
        names = ("suggestion", "steepest", "low", "middle", "ended", "rates", "losses", "smoothed")
        return {"steps": len(self.rates), **{name: getattr(self, name) for name in names}}


class RangeTestSession(Session):
    """A session that raises the optimizer's rate with each step, and cycles through the data; it writes nothing."""

    writes = False

    def __init__(self, *, rates: Sequence[float], base: float, **parts: Any) -> None:
        super().__init__(**parts)
        self.rates, self.base = list(rates), base
        self.start = math.nan
        self.losses: list[float] = []
        self.ended = "all steps were done"
        self._groups: list[dict[str, Any]] = []
        self._shares: list[float] = []
        self._mean = self._lowest = math.nan

    def track(self, **stateful: Any) -> None:
        """Keep the optimizer; parameter groups with a lower rate than others keep their ratio."""
        super().track(**stateful)
        self._groups = stateful["optimizer" if "optimizer" in stateful else "optimiser"].param_groups
        self._shares = [float(group["lr"]) / self.base for group in self._groups]
        self._move(self.rates[0])

    def _move(self, rate: float) -> None:
        for group, share in zip(self._groups, self._shares, strict=True):
            group["lr"] = rate * share

    def epochs(self) -> Iterator[int]:
        """Yield the first epoch again and again: later ones may unfreeze more of the model."""
        while True:
            yield 0

    def step_done(self, loss: Tensor, weight: float | Tensor, /) -> None:
        """Record the loss, which depends on the steps before, and set the next step's rate."""
        if self._signal:
            raise Stopped("Stopped; nothing was written.", "", 128 + self._signal)
        total, count = (float(value) for value in self._gradients.total(loss.detach(), weight))
        self._note(total / count if count else self._mean)
        self.step += 1
        self._batch += 1
        self._place = self._place_after
        if self.step > len(self.rates):
            raise Enough
        self._move(self.rates[min(self.step, len(self.rates) - 1)])

    def _note(self, loss: float) -> None:
        if not self.step:
            self.start = self._mean = self._lowest = loss
            if not math.isfinite(loss):
                raise Enough
            return
        if not math.isfinite(loss):
            self.ended = "the loss became NaN or infinite"
            raise Enough
        self.losses.append(loss)
        self._mean = KEPT * self._mean + (1 - KEPT) * loss
        self._lowest = min(self._lowest, self._mean)
        if self._mean > limit(self.start, self._lowest):
            self.ended = f"the loss rose above {FACTOR:g} times its lowest"
            raise Enough

    def epoch_done(self, metrics: Mapping[str, Any], model: nn.Module | None = None, /) -> None:
        """Start the data again, in another order."""
        self.epoch, self._batch, self._place = self.epoch + 1, 0, None

    def evaluate(self, split: str = "valid", model: nn.Module | None = None, /) -> dict[str, Any]:
        """Evaluate nothing."""
        return {}

    def checkpoint(self) -> None:
        """Write nothing."""


def limit(start: float, lowest: float) -> float:
    """Return the loss that ends a test; one that may be negative is measured by how far it fell."""
    return FACTOR * lowest if lowest > 0 else lowest + (FACTOR - 1) * (start - lowest)


def find(draft: Draft, steps: int = STEPS, first: float = FIRST, last: float = LAST) -> tuple[Curve, list[str]]:
    """Run a range test with the arguments of `train`; return its curve and notes. Nothing of it is kept.

    Raises:
        BadUsage: the trainer isn't `supervised`, or the rates don't grow.
        Failed: the loss isn't finite before the first step.
    """
    if not 0 < first < last < math.inf:
        raise BadUsage(f"The rate can't grow from {first:g} to {last:g}.", "Give --from 1e-7 --to 10, say.")
    if draft.name("trainer") != TRAINER:
        raise BadUsage(
            f"find-lr moves the learning rate of the trainer {TRAINER!r}; {draft.name('trainer')!r} sets its own.",
            f"Leave --trainer out, or try a few rates yourself: benchdog train ... --lr {1e-3:g}",
        )
    prepared = measure(resolve(draft), ["output", "memory format", "batch size"])
    components, base = prepared.components, float(prepared.components.recipe.trainer.options["lr"])
    test = single_rank(components)
    refuse_single_samples(test)
    rates = [float(rate) for rate in np.geomspace(first, last, steps)]
    with rehearsal(test) as arguments:
        session = RangeTestSession(rates=rates, base=base, model=test.build(), progress=silent(), **arguments)
        try:
            test.trainer.train(session)
        except Enough:
            pass
        finally:
            session.close()
    if not math.isfinite(session.start):
        raise Failed(f"The loss is {session.start} before the first step.", "Look for wild values in the data.")
    return read(rates, session.start, session.losses, session.ended), [*components.notes, *prepared.notes]


def single_rank(components: Components) -> Components:
    """Return the components for one rank and a trainer that leaves the rate alone; micro-batches stay as small."""
    recipe = components.recipe
    values = {f"trainer.{name}": value for name, value in PLAIN.items()}
    values["loop.accumulate"] = recipe.loop.accumulate * recipe.ranks
    return components.with_values(values | ({"backend.ranks": 1} if recipe.ranks > 1 else {}))


def read(rates: Sequence[float], start: float, losses: Sequence[float], ended: str) -> Curve:
    """Analyze the losses of a range test: where they fall fastest, where they are low, and which rate to train with.

    The suggestion is the usual tenth of the rate at which the loss is lowest. In a flat valley the lowest point is
    anywhere, by chance; the valley's middle isn't.

    Args:
        rates: of the steps; those without a loss are left out.
        start: the loss before the first.
        losses: after each.
        ended: why there were no more.
    """
    count = len(losses)
    if count < 2:
        none, made = math.nan, {"rates": rates[:count], "losses": losses, "smoothed": losses}
        return Curve(**made, steepest=none, low=(none, none), middle=none, suggestion=None, ended=ended)
    x, noisy = np.log10(np.asarray(rates[:count])), np.asarray(losses, dtype=np.float64)
    near = np.exp(-0.5 * ((x[:, None] - x[None, :]) / WIDTH) ** 2)
    near /= near.sum(1, keepdims=True)
    y = near @ noisy
    lowest = int(np.argmin(y))
    steepest = int(np.argmin(np.gradient(y, x)[: lowest + 1]))
    doubt = float(np.std((noisy - y)[: lowest + 1]) * np.sqrt((near[lowest] ** 2).sum()))
    before = np.array([start, *noisy[: lowest // 2]]).mean()
    fall = float(before - y[lowest])
    high = np.flatnonzero(y > y[lowest] + max(LEVEL * fall, DOUBT * doubt))
    left = int(high[high < lowest].max(initial=-1)) + 1
    right = int(high[high > lowest].min(initial=count)) - 1
    middle = math.sqrt(rates[left] * rates[right])
    return Curve(
        rates=rates[:count],
        losses=losses,
        smoothed=[float(value) for value in y],
        steepest=rates[steepest],
        low=(rates[left], rates[right]),
        middle=middle,
        suggestion=float(f"{middle * SHARE:.2g}") if fall > max(FALL * abs(before), DOUBT * doubt) else None,
        ended=ended,
    )
