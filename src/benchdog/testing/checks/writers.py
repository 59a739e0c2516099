"""What is asked of a writer."""

from __future__ import annotations

import hashlib
import io
import wave
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from benchdog.api import Answer, ArrayValue, BadUsage, Field, Spec, Target, WriterInfo
from benchdog.testing.runner import trial as trials
from benchdog.testing.runner.locations import raised, said
from benchdog.testing.runner.results import Fault, Skip

Array = np.ndarray[Any, np.dtype[Any]]
RATE = 8_000
LATE = "It is a fault of the writer: what it can't write, it refuses by BadUsage of benchdog.api before it writes."


@dataclass(frozen=True, slots=True)
class Case:
    """A value, and what it is in words."""

    what: str
    value: ArrayValue


class Trial(trials.Trial):
    """A writer on trial."""

    info: WriterInfo

    @property
    def cases(self) -> list[Case]:
        """The values, among the kit's, that it writes."""
        return self.once("cases", self._cases)

    def _cases(self) -> list[Case]:
        found, told = [], list[str]()
        for what, array in usual(self.info.writes).items():
            case = Case(what, value(array))
            try:
                file_of(self, case)
            except BadUsage as error:
                told.append(error.message)
            else:
                found.append(case)
        if not found:
            raise Skip(f"refuses all of the kit's values: {' '.join(dict.fromkeys(told))}")
        return found


def usual(kind: str) -> dict[str, Array]:
    """Return arrays of a kind of value; for a plugin's own kind those of all kinds."""
    draws = np.random.default_rng(4)
    bytes_ = draws.integers(0, 256, (3, 9, 7), np.uint8)
    arrays: dict[str, dict[str, Array]] = {
        "image": {
            "a gray image": bytes_[:1], "a color image": bytes_,
            "an image of floats": draws.random((3, 9, 7), np.float32),
        },
        "mask": {"a mask": draws.integers(0, 3, (9, 7), np.uint8)},
        "audio": {
            "audio of floats": draws.uniform(-1, 1, (1, 64)).astype(np.float32),
            "audio of two channels": draws.integers(-32_768, 32_767, (2, 64), np.int16),
        },
        "array": {"numbers": draws.normal(size=(4, 5)), "codes": np.arange(6), "one number": np.array(2.5)},
    }  # fmt: skip
    return arrays.get(kind) or {what: array for each in arrays.values() for what, array in each.items()}


ODD: dict[str, Array] = {
    "an empty array": np.zeros((0, 4), np.float32),
    "five axes": np.zeros((1, 2, 1, 2, 1), np.float32),
    "complex numbers": np.zeros((2, 2), np.complex64),
    "infinite numbers": np.full((1, 4, 4), np.inf, np.float32),
    "negative numbers": np.full((4, 4), -3, np.int64),
}
"""Values that a format may not be able to hold."""


def value(array: Array) -> ArrayValue:
    """Return a value of a model with three classes; it can't be changed."""
    own = array.copy()
    own.flags.writeable = False
    spec = Spec(
        fields=(Field(kind="image", shape=(3, 9, 7), dtype="uint8", range=(0, 255)),),
        target=Target(kind="mask", classes=("none", "one", "two"), shape=(9, 7)),
    )
    return ArrayValue(name="value", array=own, answer=Answer({"value": own, "rate": RATE}, "sample"), spec=spec)


def file_of(trial: Trial, case: Case) -> bytes:
    """Return what a new writer writes; BadUsage passes, and all else that it raises is a fault."""
    writer, file = trial.make(trial.values), io.BytesIO()
    try:
        writer.write(case.value, file)
    except BadUsage:
        if file.closed or file.tell():
            raise Fault(f"It has written a part of {case.what} when it refuses it.", LATE, trial.where) from None
        raise
    except Exception as error:
        changes = isinstance(error, ValueError) and "read-only" in str(error)
        raise Fault(
            f"It changes {case.what} in place." if changes else f"Writing {case.what} raises {said(error)}.",
            "Work on a copy: others read the array, too." if changes else LATE,
            raised(error) or trial.where,
        ) from error
    if file.closed:
        raise Fault("It closes the file.", "Leave it open: the caller closes it.", trial.where)
    return file.getvalue()


def writes(trial: Trial) -> str:
    """Check that it writes values of its kind, and something of each."""
    for case in trial.cases:
        if not file_of(trial, case):
            raise Fault(f"The file of {case.what} is empty.", "Write into the file that it is given.", trial.where)
    return ", ".join(case.what for case in trial.cases)


def reads(trial: Trial) -> str:
    """Check that the file is of the media type that the descriptor says, and of the array's size."""
    media_type = trial.info.media_type
    reader = READERS.get(media_type) or READERS.get(media_type.partition("/")[0])
    if trial.info.suffix == ".npy":
        reader = _npy
    if reader is None:
        return f"nothing known of {media_type}"
    for case in trial.cases:
        data = file_of(trial, case)
        try:
            size = reader(data)
        except Exception as error:
            raise Fault(
                f"What it writes of {case.what} isn't {media_type}: {type(error).__name__}.",
                "Write what media_type and suffix in the descriptor say.",
                trial.where,
            ) from None
        shape = case.value.array.shape
        if tuple(size) != shape[len(shape) - len(size) :]:
            raise Fault(
                f"{case.what} of {shape} is read back as {tuple(size)}.",
                "Write rows and columns in order.",
                trial.where,
            )
    return f"is {media_type}"


def _image(data: bytes) -> tuple[int, ...]:
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        return image.height, image.width


def _wav(data: bytes) -> tuple[int, ...]:
    with wave.open(io.BytesIO(data)) as sound:
        if sound.getframerate() != RATE:
            raise ValueError(f"its rate is {sound.getframerate()}, not the answer's {RATE}")
        return (sound.getnframes(),)


def _npy(data: bytes) -> tuple[int, ...]:
    return tuple(np.load(io.BytesIO(data), allow_pickle=False).shape)


READERS: dict[str, Callable[[bytes], tuple[int, ...]]] = {"image": _image, "audio/wav": _wav}


def repeats(trial: Trial) -> str:
    """Check that a value gives the same bytes each time."""
    for case in trial.cases:
        if file_of(trial, case) != file_of(trial, case):
            raise Fault(
                f"{case.what} written twice gives two files.", "Leave out dates and random numbers.", trial.where
            )
    return "the same bytes"


def rebuilds(trial: Trial) -> str:
    """Check that another process writes the same files."""
    if digest(trial) != trial.twin():
        raise Fault(
            "Made by another process from the same options it writes other files.",
            "Depend on options and value alone.",
            trial.where,
        )
    return "the same in another process"


def refuses(trial: Trial) -> str:
    """Check that it writes odd values, or refuses them in words and before the first byte."""
    told = []
    for what, array in ODD.items():
        try:
            data = file_of(trial, Case(what, value(array)))
        except BadUsage:
            told.append(what)
            continue
        if not data:
            raise Fault(f"The file of {what} is empty.", LATE, trial.where)
    return f"refuses {', '.join(told)}" if told else "writes all of the kit's odd values"


def digest(trial: Trial) -> dict[str, str]:
    """Return a digest of each file."""
    return {case.what: hashlib.sha256(file_of(trial, case)).hexdigest() for case in trial.cases}
