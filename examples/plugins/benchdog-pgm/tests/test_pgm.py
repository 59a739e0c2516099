"""The writer conforms to the contract, and an image program reads its files."""

import io

import numpy as np
import pytest
from benchdog.api import Answer, ArrayValue, BadUsage, Field, Spec, Target
from benchdog.testing import conforms

from benchdog_pgm.options import Options
from benchdog_pgm.writer import PgmWriter

test_conforms = conforms("writer", "pgm")
SPEC = Spec(
    fields=(Field(kind="image", shape=(1, 2, 3), dtype="uint8"),),
    target=Target(kind="mask", classes=("sky", "sea", "land"), shape=(2, 3)),
)


def written(array: np.ndarray, options: Options) -> bytes:
    """Return the file of a mask."""
    file = io.BytesIO()
    PgmWriter(options).write(ArrayValue(name="mask", array=array, answer=Answer({}), spec=SPEC), file)
    return file.getvalue()


def test_pixels_are_class_codes() -> None:
    mask = np.array([[0, 1, 2], [2, 1, 0]], np.uint8)
    assert written(mask, Options()) == b"P2\n3 2\n255\n0 1 2\n2 1 0\n"
    assert written(mask, Options(visible=True)).splitlines()[3] == b"0 127 254"


def test_volume_is_refused() -> None:
    with pytest.raises(BadUsage, match="PGM holds"):
        written(np.zeros((2, 2, 2), np.uint8), Options())
