"""What is asked of an augmentation."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from benchdog.api import AugmentationInfo, Spec
from benchdog.data.randomness import sample_draws
from benchdog.errors import BenchdogError
from benchdog.testing.checks.comparing import shaken, states
from benchdog.testing.fixtures.data_kinds import ROWS, kinds, refused
from benchdog.testing.runner import trial as trials
from benchdog.testing.runner.locations import raised, said
from benchdog.testing.runner.results import Fault, Skip

Given = tuple[tuple[Tensor, ...], Tensor]


@dataclass(frozen=True, slots=True)
class Case:
    """Data that the augmentation takes."""

    what: str
    spec: Spec
    step: Any
    inputs: tuple[Tensor, ...]
    target: Tensor

    def apply(self, rows: list[int] | None = None) -> Given:
        """Change a batch, or some of its samples, as training would in one place of one epoch."""
        ids = list(range(ROWS)) if rows is None else rows
        inputs = tuple(x[ids].clone() for x in self.inputs)
        draws = sample_draws(ids, 3, 1, 0, torch.device("cpu"))
        with torch.no_grad():
            given, target = self.step.apply(inputs, self.target[ids].clone(), draws)
        return tuple(given), target


class Trial(trials.Trial):
    """An augmentation on trial."""

    @property
    def mixes(self) -> bool:
        """Whether it says that it blends samples."""
        return isinstance(self.info, AugmentationInfo) and self.info.mixes

    @property
    def cases(self) -> list[Case]:
        """The data, among the kit's, that it takes."""
        return self.once("cases", self._cases)

    def _cases(self) -> list[Case]:
        found, told = [], list[str]()
        self.cls  # noqa: B018 -- a target that doesn't resolve is told first
        for kind in kinds(self):
            what, spec = kind.what, kind.spec
            step = self.make(self.values)
            try:
                step.check(spec)
            except BenchdogError as error:
                told.append(error.message)
                continue
            except Exception as error:
                raise Fault(
                    f"check() of {what} raises {said(error)}.",
                    "Raise BadUsage of benchdog.api for data that it isn't for, and say what it needs.",
                    raised(error) or self.where,
                ) from error
            found.append(Case(what, spec, step, kind.inputs, kind.target))
        if not found:
            raise Skip(refused(told))
        return found


def serves(trial: Trial) -> str:
    """Check that it takes some data, and refuses other data in words."""
    for case in trial.cases:
        trial.guarded(f"apply() to {case.what}", case.apply)
    return ", ".join(case.what for case in trial.cases)


def shapes(trial: Trial) -> str:
    """Check that shapes and storage types stay, and values within the field's range."""
    for case in trial.cases:
        inputs, target = trial.guarded("apply()", case.apply)
        for field, old, new in zip(case.spec.fields, case.inputs, inputs, strict=True):
            if old.shape != new.shape or old.dtype != new.dtype:
                raise Fault(
                    f"It turns {case.what} of {old.dtype} {tuple(old.shape)} into {new.dtype} {tuple(new.shape)}.",
                    "Return the shape and the storage type of the input: (x * factor).to(x.dtype).",
                    trial.where,
                )
            low, high = field.range or (-math.inf, math.inf)
            least, most = float(new.min()), float(new.max())
            if least < low or most > high:
                raise Fault(
                    f"It makes values from {least:g} to {most:g} of {case.what}; the spec says {low:g} to {high:g}.",
                    "Clamp to the field's range: check(spec) gives it.",
                    trial.where,
                )
        _target(trial, case, target)
    return "kept"


def _target(trial: Trial, case: Case, target: Tensor) -> None:
    shares = (ROWS, case.spec.classes)
    if trial.mixes and tuple(target.shape) == shares and target.is_floating_point():
        return
    if target.shape != case.target.shape or target.dtype != case.target.dtype:
        raise Fault(
            f"It turns a target of {case.target.dtype} {tuple(case.target.shape)} into {target.dtype} "
            f"{tuple(target.shape)}.",
            "Keep it; one that blends samples says mixes=True and gives shares (B, classes).",
            trial.where,
        )


def pure(trial: Trial) -> str:
    """Check that it doesn't change what it gets."""
    for case in trial.cases:
        inputs, target = tuple(x.clone() for x in case.inputs), case.target.clone()
        drawn = sample_draws(list(range(ROWS)), 3, 1, 0, torch.device("cpu"))
        with torch.no_grad():
            trial.guarded("apply()", case.step.apply, inputs, target, drawn)
        pairs = [*zip(inputs, case.inputs, strict=True), (target, case.target)]
        if not all(torch.equal(a, b) for a, b in pairs):
            raise Fault(
                f"It changes {case.what} in place.",
                "Return new tensors: samples in memory are used in every epoch. x = x * f, not x *= f.",
                trial.where,
            )
    return "gives new tensors"


def draws(trial: Trial) -> str:
    """Check that all its random numbers come from `draws`."""
    for case in trial.cases:
        found = []
        for seed in (1, 2):
            shaken(seed)
            before = states()
            found.append(trial.guarded("apply()", case.apply))
            used = states() != before
        if used or not _equal(*found):
            raise Fault(
                f"It draws from a generator other than `draws`: {case.what} are changed differently the second time.",
                "Take all random numbers from draws.uniform() and draws.normal(): they belong to the sample.",
                trial.where,
            )
    return "the only source of randomness"


def _equal(a: Given, b: Given) -> bool:
    return all(torch.equal(x, y) for x, y in zip((*a[0], a[1]), (*b[0], b[1]), strict=True))


def batches(trial: Trial) -> str:
    """Check that a sample is changed in the same way whatever is next to it."""
    if trial.mixes:
        return "blends samples, as it says"
    for case in trial.cases:
        inputs, target = trial.guarded("apply()", case.apply)
        for i in range(ROWS):
            alone, its = trial.guarded("apply() to one sample", case.apply, [i])
            near = [_near(x[i : i + 1], y) for x, y in zip(inputs, alone, strict=True)]
            if not all(near) or not torch.equal(target[i : i + 1], its):
                raise Fault(
                    f"A sample of {case.what} is changed differently when batched with others.",
                    "Draw a number per sample, draws.uniform(1, 1, 1) is (B, 1, 1, 1), and look at no other sample; "
                    "one that blends samples says mixes=True.",
                    trial.where,
                )
    return "each sample by itself"


def _near(a: Tensor, b: Tensor) -> bool:
    """Return whether values are the same but for rounding: to the next whole number where they are whole."""
    return torch.allclose(a.double(), b.double(), 1e-4, 1e-4 if a.is_floating_point() else 1.01)


def rebuilds(trial: Trial) -> str:
    """Check that another process changes the same samples in the same way."""
    here = digest(trial)
    if here != trial.twin():
        raise Fault(
            "Made by another process from the same options it changes samples otherwise.",
            "Depend on options, spec and draws alone.",
            trial.where,
        )
    return "the same in another process"


def digest(trial: Trial) -> dict[str, str]:
    """Return a digest of the kit's data after augmentation."""
    told = {}
    for case in trial.cases:
        inputs, target = case.apply()
        print_ = hashlib.sha256()
        for x in (*inputs, target):
            print_.update(x.contiguous().numpy().tobytes())
        told[case.what] = print_.hexdigest()
    return told
