"""What is asked of a task about targets of varying length."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from benchdog.api import Batch, CollatingTask
from benchdog.data.collate import concatenate, samples_of
from benchdog.errors import BenchdogError
from benchdog.testing.checks.comparing import shaken
from benchdog.testing.checks.scoring import ALL, Case, near
from benchdog.testing.runner.results import Fault

if TYPE_CHECKING:
    from benchdog.testing.checks.tasks import Trial

MORE = 3
"""Rows of padding that are appended."""


def collates(trial: Trial) -> str:
    """Check that rows of padding count nowhere, and that collate() makes each row of its own target."""
    padded, own = 0, 0
    for case in trial.cases:
        if case.spec.target.padding is not None:
            _ignores_padding(trial, case)
            padded += 1
        if isinstance(case.make(), CollatingTask):
            _each_by_itself(trial, case)
            own += 1
    found = ["padding counts nowhere"] * bool(padded) + ["each row comes from its own target"] * bool(own)
    return ", ".join(found) or "no targets of varying length"


def _ignores_padding(trial: Trial, case: Case) -> None:
    task, target = case.make(), case.batch.target
    if target.ndim < 2:
        return
    rows = target.new_full((len(target), MORE, *target.shape[2:]), float(case.spec.target.padding or 0))
    longer = Batch(case.batch.inputs, torch.cat([target, rows], 1), ids=ALL)
    total, weight = trial.guarded(f"loss() of {case.what} with more padding", task.loss, case.score, longer)
    if not near(case.loss(task, ALL), (float(total), float(weight))):
        raise Fault(
            f"The loss of {case.what} is {case.loss(task, ALL)[0]:.4g}, and {float(total):.4g} with {MORE} more rows "
            "of padding.",
            "Leave padding out: spec.target.real_rows(batch.target) tells which rows are real.",
            trial.where,
        )
    values = []
    for batch in (case.batch, longer):
        meter = task.meter(case.spec)
        meter.add(case.score, batch)
        values.append(dict(meter.value()))
    if not near(*values):
        raise Fault(
            f"The metrics of {case.what} change with {MORE} more rows of padding.",
            "Leave padding out: spec.target.real_rows(batch.target) tells which rows are real.",
            trial.where,
        )


def _each_by_itself(trial: Trial, case: Case) -> None:
    spec = case.spec
    task: Any = trial.make(trial.values)  # neither checked nor fitted, as in a worker process
    given = samples_of(trial.uncollated[spec.target].numpy(), spec.target)
    kept = [one.copy() for one in given]
    shaken(1)
    whole = trial.guarded(f"collate() of {case.what}", task.collate, given, spec)
    shaken(2)
    alone = [trial.guarded("collate() of one target", task.collate, [one], spec) for one in given]
    if not all(np.array_equal(one, before) for one, before in zip(given, kept, strict=True)):
        raise Fault(
            "collate() changes the targets that it gets.", "Work on a copy: they may be the source's.", trial.where
        )
    try:
        both = concatenate([*alone, whole], spec.target)
    except BenchdogError as error:
        raise Fault(f"For {case.what} collate() varies too much: {error.message}", error.hint, trial.where) from None
    if len(both) != 2 * len(given) or not np.array_equal(both[: len(given)], both[len(given) :]):
        raise Fault(
            f"For {case.what} a target's row differs when it is collated with others.",
            "Let row b depend on target b alone, and on no random number.",
            trial.where,
        )
