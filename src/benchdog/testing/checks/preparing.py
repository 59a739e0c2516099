"""What is asked of a task that prepares its batches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from benchdog.api import PreparedTask, Spec
from benchdog.data.prepare import Prepare, Prepared, prepared_spec
from benchdog.errors import BenchdogError
from benchdog.testing.checks.comparing import shaken, states
from benchdog.testing.checks.scoring import ALL, Case
from benchdog.testing.fixtures.data_kinds import Kind
from benchdog.testing.runner.locations import raised, said
from benchdog.testing.runner.results import Fault

if TYPE_CHECKING:
    from benchdog.testing.checks.tasks import Trial


def prepared(trial: Trial, task: Any, kind: Kind, target: Tensor) -> tuple[Spec, Prepared]:
    """Return what the model gets of some data, with this target, and its spec."""
    try:
        spec = prepared_spec(task, kind.spec, trial.name)
        given = Prepare(task, spec)(tuple(x.clone() for x in kind.inputs), target.clone(), ALL, 0)
    except BenchdogError as error:
        raise Fault(f"For {kind.what}: {error.message}", error.hint, raised(error) or trial.where) from error
    except Exception as error:  # third-party code may raise anything
        raise Fault(
            f"prepare() of {kind.what} raises {said(error)}.",
            "Refuse data that it isn't for in check().",
            raised(error) or trial.where,
        ) from error
    return spec, given


def prepares(trial: Trial) -> str:
    """Check that it prepares each sample by itself, from `draws` alone, and changes nothing in place."""
    seen = 0
    for case in trial.cases:
        task = case.make()
        if not isinstance(task, PreparedTask):
            continue
        seen += 1
        prepare = Prepare(task, case.spec)
        together = _in_new_tensors(trial, case, prepare)
        _by_itself(trial, case, prepare, together)
        if prepared_spec(task, case.data_spec, trial.name) != prepared_spec(task, case.data_spec, trial.name):
            raise Fault("prepared_spec() gives something else the second time.", "Let it depend on spec and options.")
    return "each sample by itself, from draws alone" if seen else "prepares nothing"


def _in_new_tensors(trial: Trial, case: Case, prepare: Prepare) -> Prepared:
    """Prepare twice, with the generators of torch, numpy and Python in other states."""
    found: list[Prepared] = []
    for seed in (1, 2):
        inputs, target = tuple(x.clone() for x in case.given), case.data_target.clone()
        shaken(seed)
        before = states()
        found.append(trial.guarded(f"prepare() of {case.what}", prepare, inputs, target, ALL, 0))
        drawn = states() != before
        if not all(map(torch.equal, (*inputs, target), (*case.given, case.data_target))):
            raise Fault(
                f"prepare() changes {case.what} in place.",
                "Return new tensors: samples in memory are used in every epoch. x = x + noise, not x += noise.",
                trial.where,
            )
    if drawn or not all(map(torch.equal, _tensors(found[0]), _tensors(found[1]))):
        raise Fault(
            f"prepare() draws from a generator other than `draws`: {case.what} differ the second time.",
            "Take all random numbers from draws.uniform() and draws.normal(): they belong to the sample.",
            trial.where,
        )
    return found[0]


def _by_itself(trial: Trial, case: Case, prepare: Prepare, together: Prepared) -> None:
    for i in ALL:
        inputs, target = tuple(x[[i]].clone() for x in case.given), case.data_target[[i]].clone()
        alone = trial.guarded("prepare() of one sample", prepare, inputs, target, [i], 0)
        pairs = zip(_tensors(together), _tensors(alone), strict=True)
        if not all(torch.allclose(a[[i]].double(), b.double(), 1e-4, 1e-4, equal_nan=True) for a, b in pairs):
            raise Fault(
                f"A sample of {case.what} is prepared differently when batched with others.",
                "Draw numbers per sample, draws.uniform() is (B,), and look at no other sample: micro-batches and "
                "ranks divide a batch.",
                trial.where,
            )


def _tensors(given: Prepared) -> tuple[Tensor, ...]:
    return (*given[0], given[1])
