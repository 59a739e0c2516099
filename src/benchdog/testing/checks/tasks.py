"""What is asked of a task."""

from __future__ import annotations

import json
from typing import Any

import torch
from torch import Tensor, nn

from benchdog.api import Batch, FittedTask, SampleLossTask, Spec, Target, TaskDefaults, with_defaults
from benchdog.data.collate import Collate, samples_of
from benchdog.errors import BenchdogError
from benchdog.testing.checks.answers import answer
from benchdog.testing.checks.collating import collates
from benchdog.testing.checks.compared import baselines
from benchdog.testing.checks.comparing import shaken, states
from benchdog.testing.checks.meters import meter
from benchdog.testing.checks.preparing import prepared, prepares
from benchdog.testing.checks.scoring import ALL, NEAR, Case, near
from benchdog.testing.fixtures.data_kinds import ROWS, Kind, kinds, refused
from benchdog.testing.runner import trial as trials
from benchdog.testing.runner.locations import raised, said
from benchdog.testing.runner.results import Fault, Skip

__all__ = [
    "Trial", "adds_up", "answer", "baselines", "blended", "collates", "head", "keeps", "loss", "meter", "prepares",
    "pure",     "serves", "weights",
]  # fmt: skip


class Trial(trials.Trial):
    """A task on trial.

    Attributes:
        uncollated: targets as they come from a source, stacked or padded, by what the target is.
        targets: the same as batches have them, which it is fitted on.
    """

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.uncollated: dict[Target, Tensor] = {}
        self.targets: dict[Target, Tensor] = {}

    @property
    def cases(self) -> list[Case]:
        """The data, among the kit's, that it takes."""
        return self.once("cases", self._cases)

    def _cases(self) -> list[Case]:
        found, told = [], list[str]()
        self.cls  # noqa: B018 -- a target that doesn't resolve is told first
        for kind in kinds(self):
            what = kind.what
            self.uncollated[kind.spec.target] = kind.target
            try:
                self.make(self.values).check(kind.spec)
                self.targets[kind.spec.target] = self._collated(kind)
                self.made(kind.spec)
            except BenchdogError as error:
                told.append(error.message)
            except Exception as error:
                raise Fault(
                    f"check() of {what} raises {said(error)}.",
                    "Raise BadUsage of benchdog.api for data that it isn't for, and say what it needs.",
                    raised(error) or self.where,
                ) from error
            else:
                found.append(self._case(kind))
        if not found:
            raise Skip(refused(told))
        return found

    def made(self, spec: Spec) -> Any:
        """Make the task, checked and fitted."""
        task = self.make(self.values)
        task.check(spec)
        if isinstance(task, FittedTask):
            task.fit(iter([self.targets[spec.target][:4], self.targets[spec.target][2:]]))
        return task

    def _case(self, kind: Kind) -> Case:
        what, task = kind.what, self.made(kind.spec)
        spec, (inputs, target) = prepared(self, task, kind, self.targets[kind.spec.target])
        full = spec.with_output(*self.guarded(f"output() of {what}", task.output, spec))
        free = list(inputs[0].shape[1:])
        shape = [axis or (free[i] if i < len(free) else 8) for i, axis in enumerate(full.output)]
        score = torch.randn((ROWS, *shape), generator=torch.Generator().manual_seed(4))
        data = kind.spec.with_output(*full.output)
        batch, truth = Batch(inputs, target, ids=ALL), self.targets[kind.spec.target]
        return Case(what, full, lambda: self.made(data), score, batch, kind.inputs, truth, data)

    def _collated(self, kind: Kind) -> Tensor:
        """Make a batch of targets as a worker process does, by a task that is neither checked nor fitted."""
        collate = Collate.of(kind.spec, self.make(self.values))
        if collate.task is None:
            return kind.target
        given = samples_of(kind.target.numpy(), kind.spec.target)
        return torch.from_numpy(self.guarded(f"collate() of {kind.what}", collate, given, str))


def serves(trial: Trial) -> str:
    """Check that it takes some data, and refuses other data in words."""
    for case in trial.cases:
        task = case.make()
        if getattr(task, "better", "") not in ("max", "min") or not getattr(task, "monitor", ""):
            raise Fault(
                "It doesn't say which metric chooses the best epoch.",
                'Write monitor = "accuracy" and better = "max", or "min".',
                trial.where,
            )
    return ", ".join(case.what for case in trial.cases)


def loss(trial: Trial) -> str:
    """Check that the loss is one real number that depends on the score, and its weight a number without gradient."""
    for case in trial.cases:
        task = case.make()
        score = case.score.clone().requires_grad_()
        given = trial.guarded(f"loss() of {case.what}", task.loss, score, case.part(ALL)[1])
        if not isinstance(given, tuple) or len(given) != 2 or not isinstance(given[0], Tensor):
            raise Fault("loss() doesn't give a pair.", "Return (sum over the batch, its weight).", trial.where)
        total, weight = given
        if total.ndim or not total.is_floating_point() or not bool(torch.isfinite(total)):
            raise Fault(
                f"loss() of {case.what} gives {total.dtype} of shape {tuple(total.shape)}, not one finite number.",
                "Return the sum over the batch.",
                trial.where,
            )
        if not total.requires_grad:
            raise Fault(
                f"The loss of {case.what} doesn't depend on the score.",
                "Compute it from the score without detach(), item() or no_grad().",
                trial.where,
            )
        if isinstance(weight, Tensor) and weight.requires_grad:
            raise Fault("The loss's weight has a gradient.", "Detach it: weight.detach().", trial.where)
        if isinstance(task, SampleLossTask):
            losses = trial.guarded(f"losses() of {case.what}", task.losses, case.score, case.part(ALL)[1])
            if tuple(getattr(losses, "shape", ())) != (ROWS,) or not bool(torch.isfinite(losses).all()):
                raise Fault(
                    f"losses() of {case.what} gives no finite number for each sample: "
                    f"{tuple(getattr(losses, 'shape', ()))}, not ({ROWS},).",
                    "Return a tensor (B,), each sample's own loss.",
                    trial.where,
                )
    return f"a sum and a weight for {len(trial.cases)} kinds of data"


def adds_up(trial: Trial) -> str:
    """Check that a batch's loss is the sum of its pieces', as accumulation and ranks need it."""
    pure(trial)
    declared = []
    for case in trial.cases:
        task = case.make()
        if not with_defaults(task, TaskDefaults).adds_up:
            declared.append(case.what)
            continue
        whole, parts = case.loss(task, ALL), [case.loss(task, rows) for rows in (ALL[:1], ALL[1:3], ALL[3:])]
        for place, what in ((0, "loss"), (1, "weight")):
            total = sum(part[place] for part in parts)
            if abs(whole[place] - total) > NEAR * max(1.0, abs(whole[place])):
                raise Fault(
                    f"The {what} of {case.what} is {whole[place]:.4g} for a batch and {total:.4g} for its pieces "
                    "together.",
                    'Return sums, not means (reduction="sum"), or declare adds_up = False.',
                    trial.where,
                )
    return "declared not to: adds_up = False" if declared else "sums of pieces are those of the batch"


def pure(trial: Trial) -> str:
    """Check that the loss changes neither score nor batch, and is the same twice."""
    return trial.once("pure", lambda: _pure(trial))


def _pure(trial: Trial) -> str:
    for case in trial.cases:
        task, score, batch = case.make(), case.score.clone(), case.batch
        target = batch.target.clone()
        shaken(1)
        before = states()
        first = task.loss(score, Batch(batch.inputs, target, ids=ALL))
        drawn = states() != before
        changed = [
            n for n, a, b in (("score", score, case.score), ("target", target, batch.target)) if not _same(a, b)
        ]
        if changed:
            raise Fault(
                f"loss() of {case.what} changes the {changed[0]} in place.",
                "Work on a copy: targets in memory are used in every epoch.",
                trial.where,
            )
        shaken(2)
        second = task.loss(*case.part(ALL))
        if drawn or float(first[0]) != float(second[0]):
            raise Fault(
                f"loss() of {case.what} is random: {float(first[0]):.6g}, then {float(second[0]):.6g}.",
                "Let it depend on score and batch alone.",
                trial.where,
            )
    return "changes nothing, the same twice"


def _same(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and torch.equal(a, b)


def head(trial: Trial) -> str:
    """Check that a sample's answer doesn't depend on the samples next to it."""
    for case in trial.cases:
        task = case.make()
        module = trial.guarded(f"head() for {case.what}", task.head, case.spec)
        if not isinstance(module, nn.Module):
            raise Fault(f"head() gives a {type(module).__name__}.", "Return a torch.nn.Module.", trial.where)
        score = case.score.clone()
        with torch.no_grad():
            together = module.eval()(score)
            alone = torch.cat([module(case.score[i : i + 1]) for i in ALL])
        if not _same(score, case.score):
            raise Fault("The head changes the score in place.", "Work on a copy.", trial.where)
        if together.shape != alone.shape or not torch.allclose(together.double(), alone.double(), NEAR, NEAR):
            raise Fault(
                f"For {case.what} a sample's answer differs when batched with others.",
                "The head answers for each sample by itself: softmax over classes is dim=1, not 0.",
                trial.where,
            )
    return "answers each sample by itself"


def weights(trial: Trial) -> str:
    """Check that a task that says it honours the weights of samples does."""
    seen = 0
    for case in trial.cases:
        task = case.make()
        declared = with_defaults(task, TaskDefaults)
        if not declared.weighs or not declared.adds_up:
            continue
        seen += 1
        plain, ones = case.loss(task, ALL), case.loss(task, ALL, torch.ones(ROWS))
        first = case.loss(task, ALL[:1])
        alone = case.loss(task, ALL, torch.tensor([1.0] + [0.0] * (ROWS - 1)))
        for a, b, what in ((plain, ones, "all 1"), (first, alone, "1 for one sample, else 0")):
            if not near(a, b):
                raise Fault(
                    f"It says weighs = True, and its loss of {case.what} with weights ({what}) is "
                    f"{b[0]:.4g} of {b[1]:.4g}, not {a[0]:.4g} of {a[1]:.4g}.",
                    "Return the sum of weight x loss, and of weight x what counts; or leave weighs out.",
                    trial.where,
                )
    return "honoured" if seen else "not declared"


def blended(trial: Trial) -> str:
    """Check that a class may come as a row of shares, as mix-up makes it."""
    pure(trial)
    seen = 0
    for case in trial.cases:
        if case.spec.target.kind != "class":
            continue
        seen += 1
        task = case.make()
        rows = nn.functional.one_hot(case.batch.target, case.spec.classes).float()
        batch = Batch(case.batch.inputs, rows, ids=ALL)
        total, weight = trial.guarded(f"loss() of {case.what} in shares (B, classes)", task.loss, case.score, batch)
        if not near(case.loss(task, ALL), (float(total), float(weight))):
            raise Fault(
                f"The loss of {case.what} differs when the class comes as a row of shares: {float(total):.4g}, not "
                f"{case.loss(task, ALL)[0]:.4g}.",
                "A target of class codes (B,) may be shares (B, classes): augmentations blend samples.",
                trial.where,
            )
    return "shares count as codes do" if seen else "no classes"


def keeps(trial: Trial) -> str:
    """Check that what `fit` learned comes back from JSON."""
    for case in trial.cases:
        task = case.make()
        if not hasattr(task, "fit"):
            return "fits nothing"
        if not isinstance(task, FittedTask):
            raise Fault(
                "It has fit(), but not all of fit(), state() and restore().",
                "Write the three of them: see FittedTask in benchdog.api.",
                trial.where,
            )
        state = trial.guarded("state() in JSON", _through_json, task)
        again = trial.make(trial.values)
        again.check(case.spec)
        trial.guarded("restore()", again.restore, state)
        if case.loss(task, ALL) != case.loss(again, ALL):
            raise Fault(
                f"After restore(state()) its loss of {case.what} is another.",
                "Return all that fit() computed from state(), in JSON types.",
                trial.where,
            )
    return "its fitted state is restored"


def _through_json(task: Any) -> Any:
    return json.loads(json.dumps(task.state()))
