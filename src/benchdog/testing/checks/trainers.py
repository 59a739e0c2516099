"""What is asked of a trainer: it trains a small model on a small table, several times."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchdog.api import TrainerDefaults, TrainerInfo, with_defaults
from benchdog.errors import BadUsage, BenchdogError, Stopped
from benchdog.recipe.resolved import write_resolved
from benchdog.runs.document import describe
from benchdog.runs.run import Run
from benchdog.testing.checks.comparing import shaken
from benchdog.testing.fixtures.session import SPARE, EndlessError, Plan, Tried
from benchdog.testing.fixtures.small_runs import FORMS, small
from benchdog.testing.runner import trial as trials
from benchdog.testing.runner.locations import raised, said
from benchdog.testing.runner.results import Fault, Skip
from benchdog.training.progress import silent
from benchdog.training.rank import check_trainer, staged
from benchdog.training.setup import Components, rebuilt

EPOCHS, SIZE, STOP = 3, 24, 4
"""Epochs, batch size, and the step after which a run is stopped."""


class Trial(trials.Trial):
    """A trainer on trial.

    Attributes:
        last: the folder of the newest run.
    """

    last = Path()

    @property
    def resumable(self) -> bool:
        """Whether it says that it can go on after a stop."""
        return isinstance(self.info, TrainerInfo) and self.info.resumable

    @property
    def parts(self) -> Components:
        """The parts of a small run with it."""
        return self.once("parts", self._parts)

    def _parts(self) -> Components:
        self.cls  # noqa: B018 -- a target that doesn't resolve is told first
        declared = with_defaults(self.plugins.make("trainer", self.found.where, self.values), TrainerDefaults)
        told = []
        for form in FORMS:
            try:
                parts = self._small(form, declared)
                self.known["parts"] = parts  # for the run that is tried now
                check_trainer(parts, parts.build())
                self.train(Plan(stop=1))
            except BadUsage as error:
                told.append(error.message)
            except Exception:  # told by the check that trains
                if "parts" not in self.known:
                    raise
                return self.known["parts"]  # type: ignore[no-any-return]
            else:
                return parts
        raise Skip(f"refuses the kit's small runs: {' '.join(dict.fromkeys(told))}")

    def _small(self, form: str, declared: TrainerDefaults) -> Components:
        return small(
            self,
            form,
            declared,
            trainer__name=self.found.where,
            loop__epochs=EPOCHS,
            loop__batch_size=SIZE,
            loop__log_every=1,
            **{f"trainer__{key}": value for key, value in self.values.items()},
        )

    def train(self, plan: Plan, folder: Path | None = None, **loop: int) -> None:
        """Train; in `folder` a stopped run goes on."""
        parts = rebuilt(self.parts)
        if loop:
            parts = parts.with_values({f"loop.{key}": value for key, value in loop.items()})
        run = Run.open(folder) if folder else self._run(parts)
        if folder:
            run.hold()
        try:
            with staged(run, parts) as given:
                session = Tried(model=parts.build(), progress=silent(), **given)
                session.plan = plan
                try:
                    self._train(parts, session, plan)
                finally:
                    session.close()
        finally:
            run.release()

    def _run(self, parts: Components) -> Run:
        document = describe(parts.recipe, parts.task, parts.data.sizes())
        run = Run.create(self.bench.folder("run"), "tried", {**document, "parameters": 0})
        write_resolved(run.folder, parts.recipe)
        self.last = run.folder
        return run

    def _train(self, parts: Components, session: Tried, plan: Plan) -> None:
        trained: Any = parts.trainer.train(session)
        plan.ended = True
        if isinstance(trained, nn.Module):
            session.result(trained)
            session.finish()
            plan.weights = {name: x.detach().clone() for name, x in trained.state_dict().items()}
        elif not callable(trained):
            raise Fault(
                f"train() gives a {type(trained).__name__}.",
                "Return session.model, or an object with runner, save and __call__.",
                self.where,
            )
        else:
            inputs, _ = session.arrays("valid")
            plan.weights = {"score": torch.from_numpy(trained(*inputs)[1])}

    @property
    def whole(self) -> Plan:
        """A run without a stop."""
        return self.once("whole", self._whole)

    def _whole(self) -> Plan:
        plan = Plan()
        try:
            self.train(plan)
        except (Fault, Skip):
            raise
        except EndlessError:
            raise Fault(
                f"It continues after its last epoch: {plan.steps} steps where {plan.steps - SPARE - 1} are all.",
                "Write for epoch in session.epochs().",
                self.where,
            ) from None
        except BenchdogError as error:
            raise Fault(f"train() raises {said(error)}.", "Fix it.", raised(error) or self.where) from error
        except Exception as error:
            raise Fault(f"train() raises {said(error)}.", "Fix it.", raised(error) or self.where) from error
        return plan


def trains(trial: Trial) -> str:
    """See that it trains for the epochs it is given, counts its steps and closes its epochs."""
    return trial.once("trained", lambda: _trained(trial))


def _trained(trial: Trial) -> str:
    plan = trial.whole
    if not plan.epochs:
        raise Fault(
            "It closes no epoch, so there is no best model.",
            "Call session.epoch_done(session.evaluate()) after each epoch.",
            trial.where,
        )
    if not plan.measured:
        raise Fault(
            "It closes its epochs without metrics, so the first one is taken for the best.",
            "Call session.epoch_done(session.evaluate()) after each epoch.",
            trial.where,
        )
    if not all(bool(torch.isfinite(x).all()) for x in plan.weights.values() if x.is_floating_point()):
        raise Fault(
            "It trains weights that aren't finite.", "Lower the rate; see that gradients are cleared.", trial.where
        )
    if trial.resumable and not plan.steps:
        raise Fault(
            "It counts no step, so a stop isn't noticed and no checkpoint is written.",
            "Call session.step_done(loss, weight) after each step; one that trains in one go says resumable=False.",
            trial.where,
        )
    return f"{plan.steps} steps, {plan.epochs} epochs"


def pure(trial: Trial) -> str:
    """See that it leaves its batches as they are."""
    if trial.whole.mutated:
        raise Fault(
            "It changes batches in place.",
            "Work on a copy: small data is transformed once, and batches are views of it.",
            trial.where,
        )
    if name := trial.whole.changed:
        raise Fault(
            f"It changes the weights of session.models[{name!r}], which no checkpoint holds.",
            "Leave it frozen and in evaluation mode; to train a copy, deepcopy it and name it in session.track(...).",
            trial.where,
        )
    return "batches stay what they are"


def seeds(trial: Trial) -> str:
    """See that two runs of one recipe give the same bits."""
    return trial.once("seeded", lambda: _seeded(trial))


def _seeded(trial: Trial) -> str:
    first = trial.whole
    second = Plan()
    shaken(99)
    trial.train(second)
    if what := _differing(first.weights, second.weights):
        raise Fault(
            f"Trained twice by one recipe it gives two results: {what}.",
            "Draw from torch's generator, which is seeded for each step, or from one seeded with session.seed.",
            trial.where,
        )
    return "the same bits twice"


def _differing(a: dict[str, Tensor], b: dict[str, Tensor], near: float = 0.0) -> str:
    """Name the first weight that differs, and by how much."""
    for name, x in a.items():
        y = b.get(name)
        if y is None or x.shape != y.shape:
            return f"{name!r} has another shape"
        if not (torch.equal(x, y) if not near else torch.allclose(x.double(), y.double(), near, near)):
            return f"{name!r} differs by {float((x.double() - y.double()).abs().max()):.2g}"
    return ""


def stops(trial: Trial) -> str:
    """See that it ends when the session says so, and lets a signal through."""
    trains(trial)
    plan = Plan(enough=1)
    try:
        trial.train(plan)
    except EndlessError:
        plan.epochs = EPOCHS
    if trial.whole.epochs > 1 and plan.epochs > 1:
        raise Fault(
            f"session.should_stop is true after the first epoch, and it trains {plan.epochs}.",
            "Write for epoch in session.epochs(), or look at session.should_stop.",
            trial.where,
        )
    if not trial.resumable:
        return "early; it can't go on, as it says"
    plan = Plan(stop=STOP)
    try:
        trial.train(plan)
    except (Stopped, EndlessError):
        if plan.steps == STOP:
            return "early, and at a signal"
    raise Fault(
        f"A signal comes at step {STOP}, and it continues to step {plan.steps}.",
        "Let what session.step_done raises through: `except Exception` around it swallows the stop.",
        trial.where,
    )


def resumes(trial: Trial) -> str:
    """See that a run that is stopped and goes on ends with the bits of one that isn't stopped."""
    if not trial.resumable:
        return "not, as it says: resumable=False"
    trains(trial)
    seeds(trial)
    whole, plan, rest = trial.whole, Plan(stop=STOP), Plan()
    with suppress(Stopped, EndlessError):
        trial.train(plan)
    if plan.ended or plan.steps != STOP:
        raise Skip("it doesn't stop: see `stops`")
    trial.guarded("Going on with a stopped run", trial.train, rest, trial.last)
    if what := _differing(whole.weights, rest.weights):
        raise Fault(
            f"Stopped at step {STOP} and resumed, it ends with other weights than without a stop: {what}.",
            "Name all that changes while it trains in session.track(...): optimizer, schedule, generators, means.",
            trial.where,
        )
    return f"stopped at step {STOP}: the same bits"


def pieces(trial: Trial) -> str:
    """See that a batch that comes in pieces makes one step."""
    trains(trial)
    seeds(trial)
    whole = trial.whole
    if not whole.steps:
        return "it takes no batches"
    cut = Plan()
    trial.guarded("Training with batches in pieces", lambda: trial.train(cut, accumulate=2))
    if cut.steps != whole.steps or _differing(whole.weights, cut.weights, 0.02):
        raise Fault(
            f"With batches in two pieces it makes {cut.steps} steps, and its weights differ from those of "
            f"{whole.steps} with whole ones.",
            "Step, clear gradients and call step_done only where batch.last is true.",
            trial.where,
        )
    return "one step for each batch"
