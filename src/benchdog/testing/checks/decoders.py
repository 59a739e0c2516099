"""What is asked of a decode operation."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from benchdog.api import BadData, DecodeExample, DecoderInfo
from benchdog.testing.checks.comparing import same, shaken, states
from benchdog.testing.runner import trial as trials
from benchdog.testing.runner.locations import raised, said, stands
from benchdog.testing.runner.results import Fault

Array = np.ndarray[Any, np.dtype[Any]]
TYPES = {"bytes": bytes, "text": str, "row": Mapping}
STRAY = b"this is no file of any format \xff\x00" * 3
THREADS, TIMES = 4, 32


@dataclass(frozen=True, slots=True)
class Case:
    """An example, its number, and the operation with its parameters."""

    number: int
    example: DecodeExample
    step: Any

    @property
    def what(self) -> str:
        """Its name in a sentence."""
        return f"example {self.number}"


class Trial(trials.Trial):
    """A decode operation on trial."""

    @property
    def decoder(self) -> DecoderInfo:
        """The descriptor."""
        assert isinstance(self.info, DecoderInfo)
        return self.info

    @property
    def values(self) -> dict[str, Any]:
        """The first example's parameters."""
        return {**self.examples[0].options, **self.given} if self.decoder.examples else super().values

    @property
    def examples(self) -> list[DecodeExample]:
        """The descriptor's examples."""
        return self.once("examples", self._examples)

    def _examples(self) -> list[DecodeExample]:
        if not self.decoder.examples:
            raise Fault(
                "It names no examples, so that nothing of it can be tried.",
                'Write DecoderInfo(..., examples="package.module:function"), which returns a list[DecodeExample].',
                stands(self.cls),
            )
        function = self.guarded("Its examples", self.found.resolve, self.decoder.examples)
        found = self.guarded("Its examples", lambda: list(function()))
        if not found or not all(isinstance(each, DecodeExample) for each in found):
            raise Fault("Its examples are no list of DecodeExample.", "Return at least one.", stands(function))
        return found

    @property
    def cases(self) -> list[Case]:
        """The examples with the operation made for each."""
        return self.once("cases", self._cases)

    def _cases(self) -> list[Case]:
        self.cls  # noqa: B018 -- a target that doesn't resolve is told first
        steps: dict[str, Any] = {}  # one object for all examples of equal parameters, as training has one
        for number, each in enumerate(self.examples, 1):
            if (key := repr(each.options)) not in steps:
                steps[key] = self.guarded(f"Making it for example {number}", self.make, dict(each.options))
        return [Case(number, each, steps[repr(each.options)]) for number, each in enumerate(self.examples, 1)]

    def decoded(self, case: Case) -> Array:
        """Decode an example."""
        array: Array = self.guarded(f"Decoding {case.what}", case.step, case.example.value)
        return array


def examples(trial: Trial) -> str:
    """Check that there are examples of what it takes."""
    for number, each in enumerate(trial.examples, 1):
        if not isinstance(each.value, TYPES[trial.decoder.takes]):
            raise Fault(
                f"Example {number} is {type(each.value).__name__}, and it takes {trial.decoder.takes!r}.",
                "Give raw values, as a file or a request has them.",
                trial.where,
            )
    return str(len(trial.examples))


def decodes(trial: Trial) -> str:
    """Check that each example becomes an array of the shape and type that it names."""
    for case in trial.cases:
        array, wanted = trial.decoded(case), case.example
        if not isinstance(array, np.ndarray):
            raise Fault(f"{case.what} becomes {type(array).__name__}.", "Return a numpy array.", trial.where)
        if array.shape != tuple(wanted.shape) or str(array.dtype) != wanted.dtype:
            raise Fault(
                f"{case.what} becomes {array.dtype} {array.shape}; it says {wanted.dtype} {tuple(wanted.shape)}.",
                "Return that, without a batch axis, in the storage type; or correct the example.",
                trial.where,
            )
        if array.dtype.kind not in "biuf":
            raise Fault(f"{case.what} becomes {array.dtype}.", "Return numbers.", trial.where)
    return f"{len(trial.cases)} examples"


def pure(trial: Trial) -> str:
    """Check that the raw value stays, and that arrays of earlier calls do."""
    for case in trial.cases:
        value = copy.deepcopy(case.example.value)
        first = trial.guarded(f"Decoding {case.what}", case.step, value)
        if not same(value, case.example.value):
            raise Fault(f"It changes {case.what} in place.", "Copy what it changes.", trial.where)
        kept = np.array(first)
        for other in trial.cases:
            trial.decoded(other)
            if not same(first, kept):
                raise Fault(
                    "A later call changes the array of an earlier one.",
                    "Return a new array each time: samples of a batch are alive at once.",
                    trial.where,
                )
    return "gives new arrays"


def repeats(trial: Trial) -> str:
    """Check that a value decodes alike each time, whatever the global random generators are at."""
    for case in trial.cases:
        found = []
        for seed in (1, 2):
            shaken(seed)
            before = states()
            found.append(trial.decoded(case))
            if states() != before:
                raise Fault(
                    "It uses or seeds the global random generator, which belongs to the run.",
                    "Decode without random numbers: changes of training batches are an augmentation's.",
                    trial.where,
                )
        if not same(*found):
            raise Fault(
                f"{case.what} decodes to two arrays.", "Depend on the parameters and the value alone.", trial.where
            )
    return "alike each time"


def threads(trial: Trial) -> str:
    """Check that it can be called in several threads at once, as splits are read and requests decoded."""
    alone = [trial.decoded(case) for case in trial.cases]
    jobs = [case for _ in range(TIMES) for case in trial.cases]
    with ThreadPoolExecutor(THREADS) as pool:
        found = list(pool.map(partial(trial.guarded, "Decoding in several threads", trial.decoded), jobs))
    for case, array in zip(jobs, found, strict=True):
        if not same(array, alone[case.number - 1]):
            raise Fault(
                f"In several threads {case.what} decodes to another array.",
                "Keep nothing of a call in the object or the module.",
                trial.where,
            )
    return f"{len(jobs)} calls in {THREADS} threads"


def damage(trial: Trial) -> str:
    """Check that damaged values are refused with BadData, or at least become no array of the whole one's shape."""
    count = 0
    for case in trial.cases:
        for what, value, is_whole in _damaged(trial.decoder.takes, case.example.value):
            count += 1
            try:
                array = case.step(value)
            except BadData as error:
                if not error.message.strip():
                    raise Fault(f"{what} is refused without a word.", "Say what is wrong.", trial.where) from None
                continue
            except Exception as error:
                raise Fault(
                    f"{what} raises {said(error)}.",
                    "Raise BadData of benchdog.api, and say what is wrong with it: files are often damaged.",
                    raised(error) or trial.where,
                ) from error
            if not is_whole and getattr(array, "shape", None) == tuple(case.example.shape):
                raise Fault(
                    f"{what} decodes as if it were whole, to {array.dtype} {array.shape}.",
                    "Raise BadData where bytes are missing or aren't of the format; don't fill with zeros.",
                    trial.where,
                )
    return f"{count} damaged values"


def _damaged(takes: str, value: Any) -> list[tuple[str, Any, bool]]:
    """Return damaged values, each with its name and whether it may decode all the same."""
    wrong: list[tuple[str, Any, bool]] = [("A None", None, False), ("A number", 7, False)]
    if takes == "row":
        first = next(iter(value))
        lists = {**value, first: [1, 2]}
        return [*wrong, ("An empty row", {}, False), (f"A list in the column {first!r}", lists, False)]
    if takes == "text":
        return [*wrong, ("Bytes", b"text", False), ("A text of control characters", "\0\1\2" * 5, True)]
    return [
        *wrong,
        ("An empty file", b"", False),
        ("A file of another format", STRAY, False),
        ("The first half of a file", value[: len(value) // 2], False),
        ("A file without its last byte", value[:-1], True),
        ("A file with a wrong byte", value[: len(value) // 3] + b"\xa5" + value[len(value) // 3 + 1 :], True),
    ]


def parameters(trial: Trial) -> str:
    """Check that an operation with its parameters survives JSON, as artifacts and exports keep it."""
    for case in trial.cases:
        try:
            again = json.loads(json.dumps(dict(case.example.options), allow_nan=False))
        except (TypeError, ValueError) as error:
            raise Fault(
                f"The parameters of {case.what} can't be written as JSON: {error}.",
                "Use numbers, texts, lists and tables.",
                trial.where,
            ) from None
        other = Case(case.number, case.example, trial.guarded("Making it again", trial.make, again))
        full = Case(case.number, case.example, trial.make(trial.full(again)) if trial.info.options else other.step)
        if not same(trial.decoded(other), trial.decoded(case)) or not same(trial.decoded(full), trial.decoded(case)):
            raise Fault(
                f"With its parameters after JSON {case.what} decodes otherwise.",
                "Use parameters that JSON has.",
                trial.where,
            )
    return "survive JSON"


def rebuilds(trial: Trial) -> str:
    """Check that a worker process, which makes it from its parameters, decodes alike."""
    here, there = digest(trial), trial.twin(trial.values)
    for what, value in here.items():
        if value != there.get(what):
            raise Fault(
                f"Another process decodes {what} otherwise.",
                "Depend on the parameters and the value alone: hash() and the order of a set differ there.",
                trial.where,
            )
    return "alike in another process"


def digest(trial: Trial) -> dict[str, str]:
    """Return a digest of each example decoded."""
    return {
        case.what: hashlib.sha256(np.ascontiguousarray(trial.decoded(case)).data).hexdigest() for case in trial.cases
    }
