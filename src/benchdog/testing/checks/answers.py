"""What is asked of a task's answer function."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np
import torch

from benchdog.api import TaskInfo
from benchdog.model.value_files import ValueFiles, arrays_in
from benchdog.testing.checks.scoring import ALL, Case, near
from benchdog.testing.fixtures.data_kinds import ROWS
from benchdog.testing.runner.locations import stands
from benchdog.testing.runner.results import Fault

if TYPE_CHECKING:
    from benchdog.testing.checks.tasks import Trial

KEYS = 64
"""Different scores of the made-up model."""


def answer(trial: Trial) -> str:
    """Check that people get an answer for each sample, the same alone and with others."""
    assert isinstance(trial.info, TaskInfo)
    function = trial.guarded("The answer function", trial.found.resolve, trial.info.answer)
    for case in trial.cases:
        asked = (function, runner(case), case, trial.options())
        together = trial.guarded(f"The answer for {case.what}", _ask, *asked, ALL)
        if len(together) != ROWS:
            raise Fault(
                f"{ROWS} inputs get {len(together)} answers.", "Return an Answer for each input.", trial.where
            )
        alone = [each for i in ALL for each in trial.guarded("The answer for one input", _ask, *asked, [i])]
        for one, other in zip(together, alone, strict=True):
            if not all(near(one.values[key], other.values.get(key)) for key in one.values):
                raise Fault(
                    f"For {case.what} an input's answer differs when batched with others.",
                    "Answer for each sample by itself; what needs several belongs into TaskInfo.together.",
                    trial.where,
                )
        _plain(trial, together[0].values)
        _files(trial, together[0], case)
        if trial.info.together:
            _several(trial, together, case)
    return "one for each sample, by itself"


def _several(trial: Trial, answers: list[Any], case: Case) -> None:
    """Check that what is said of several inputs is said to each of them."""
    assert isinstance(trial.info, TaskInfo)
    function = trial.guarded("The function of several answers", trial.found.resolve, trial.info.together)
    named = [replace(each, id=f"sample {i}") for i, each in enumerate(answers)]
    told = trial.guarded("The function of several answers", function, named, case.spec, trial.options())
    if [each.id for each in told] != [each.id for each in named]:
        raise Fault(
            f"`together` gives {len(told)} answers for {len(named)}, or in another order.",
            "Return each of them, with what you add: replace(answer, values={**answer.values, ...}).",
            stands(function),
        )
    _plain(trial, told[0].values)


def _ask(function: Any, call: Any, case: Case, options: Any, rows: list[int]) -> list[Any]:
    return list(function(call, tuple(x[rows].numpy() for x in case.given), case.spec, options))


def _plain(trial: Trial, values: Any) -> None:
    """Check that an answer can be printed as JSON; arrays are written as files."""
    try:
        json.dumps(dict(values), default=_array)
    except (TypeError, ValueError) as error:
        raise Fault(
            f"An answer can't be written as JSON: {error}.",
            "Return numbers, strings, lists and mappings: float(x), int(x).",
            trial.where,
        ) from None


def _array(value: Any) -> None:
    """Take an array for JSON; raise TypeError for all else."""
    if not isinstance(value, np.ndarray):
        raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


def _files(trial: Trial, given: Any, case: Case) -> None:
    """Check that there is a writer for each array, which writes it or refuses it in words."""
    assert isinstance(trial.info, TaskInfo)
    files = ValueFiles(trial.plugins, case.spec, trial.info.values)
    for name, value in given.values.items():
        for array in arrays_in(value):
            if not files.media_types(name, array):
                raise Fault(
                    f"The value {name!r} is {files.kind(name, array)!r}, which no writer writes.",
                    "Say in TaskInfo(values=...) that it is an image, mask, audio or array, or offer a writer.",
                    trial.where,
                )
            trial.guarded(f"Writing the value {name!r}", files.encode, name, array, given)


def runner(case: Case) -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    """Make up a model: each sample's score depends on its own values alone, a token's on the tokens up to it."""
    module = case.make().head(case.spec).eval()
    draws = torch.Generator().manual_seed(8)
    table = torch.randn((KEYS, *case.score.shape[1:]), generator=draws)

    def call(*inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if case.spec.target.kind == "next-token":
            score = table[:, 0][torch.from_numpy(inputs[0]) % KEYS]
        else:
            score = table[[crc32(row) % KEYS for row in _rows(inputs)]]
        with torch.no_grad():
            return module(score).numpy(), score.numpy()

    return call


def _rows(inputs: tuple[np.ndarray, ...]) -> Iterator[bytes]:
    for i in range(len(inputs[0])):
        yield b"".join(np.ascontiguousarray(x[i]).tobytes() for x in inputs)
