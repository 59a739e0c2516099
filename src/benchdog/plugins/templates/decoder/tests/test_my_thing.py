"""The decode operation conforms to the contract, and scales every encoding alike."""

import io
import wave

import numpy as np
import pytest
from benchdog.api import BadData
from benchdog.testing import conforms

from benchdog_my_thing.decoder import MyThingDecoder
from benchdog_my_thing.examples import floating, pcm
from benchdog_my_thing.options import Options

test_conforms = conforms("decoder", "my-thing")


@pytest.mark.parametrize("bits", [8, 16, 24, 32])
def test_half_of_full_scale_is_one_half(bits: int) -> None:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setparams((1, bits // 8, 8000, 0, "NONE", ""))
        half = 2 ** (bits - 2) + (128 if bits == 8 else 0)
        out.writeframes(half.to_bytes(bits // 8, "little") * 3)
    assert MyThingDecoder(Options())(file.getvalue()).tolist() == [[0.5, 0.5, 0.5]]


def test_floats_stay_and_nan_is_refused() -> None:
    assert MyThingDecoder(Options())(floating([0.5, -0.25])).tolist() == [[0.5, -0.25]]
    with pytest.raises(BadData, match="NaN"):
        MyThingDecoder(Options())(floating([float("nan")]))


def test_length_cuts_and_pads() -> None:
    whole = MyThingDecoder(Options())(pcm(16, 6))
    assert np.array_equal(MyThingDecoder(Options(length=4))(pcm(16, 6)), whole[:, :4])
    assert MyThingDecoder(Options(length=8))(pcm(16, 6))[:, 6:].tolist() == [[0, 0]]


@pytest.mark.parametrize(
    ("options", "file", "why"),
    [
        (Options(rate=16_000), pcm(16, 6), "8000 Hz, not 16000 Hz"),
        (Options(), pcm(16, 6, 2), "2 channels, not 1"),
        (Options(), pcm(16, 6)[:-1], "was cut"),
        (Options(), b"ID3", "not a WAV file"),
    ],
)
def test_other_files_are_refused(options: Options, file: bytes, why: str) -> None:
    with pytest.raises(BadData, match=why):
        MyThingDecoder(options)(file)
