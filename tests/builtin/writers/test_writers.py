"""The built-in writers: what programs read back is the array, and what a format can't hold is refused."""

import io
import wave

import numpy as np
import pytest
from PIL import Image

from benchdog.api import Answer, BadUsage, Field, Spec, Target
from benchdog.model.value_files import ValueFiles
from benchdog.plugins import Plugins

SPEC = Spec(fields=(Field(kind="image", shape=(1, 4, 6), dtype="uint8"),), target=Target(kind="image"))
DRAWS = np.random.default_rng(1)
BYTES = DRAWS.integers(0, 256, (4, 5, 7), np.uint8)


@pytest.fixture(scope="module")
def files() -> ValueFiles:
    return ValueFiles(Plugins.discover(), SPEC, {"i": "image", "m": "mask", "a": "audio"})


def written(files: ValueFiles, name: str, array: np.ndarray, **values: object) -> bytes:
    encoded = files.encode(name, array, Answer({name: array, **values}))
    assert not encoded.refused, encoded.refused
    return encoded.data


@pytest.mark.parametrize(
    ("array", "mode", "wanted"),
    [
        (BYTES[:1], "L", BYTES[0]),
        (BYTES[0], "L", BYTES[0]),
        (BYTES[:3], "RGB", BYTES[:3].transpose(1, 2, 0)),
        (BYTES, "RGBA", BYTES.transpose(1, 2, 0)),
        (BYTES[:3] / 255, "RGB", BYTES[:3].transpose(1, 2, 0)),
        (BYTES[:1].astype(np.uint16) * 257, "I;16", BYTES[0].astype(np.uint16) * 257),
    ],
)
def test_png_holds_every_value(files, array, mode, wanted):
    with Image.open(io.BytesIO(written(files, "i", array))) as image:
        assert image.mode == mode
        assert np.array_equal(np.asarray(image), wanted)


@pytest.mark.parametrize(
    ("array", "wanted"),
    [
        (np.array([0.0, 1.0, -1.0]), [[0, 32767, -32767]]),
        (np.array([[-32768, 5], [7, 32767]], np.int16), [[-32768, 5], [7, 32767]]),
    ],
)
def test_wav_holds_every_sample_of_every_channel(files, array, wanted):
    with wave.open(io.BytesIO(written(files, "a", array, rate=44_100))) as sound:
        assert (sound.getframerate(), sound.getsampwidth()) == (44_100, 2)
        frames = np.frombuffer(sound.readframes(sound.getnframes()), "<i2").reshape(-1, sound.getnchannels())
    assert frames.T.tolist() == wanted


@pytest.mark.parametrize(
    ("name", "array", "part"),
    [
        ("i", np.zeros((2, 4, 4), np.uint8), "has the shape (2, 4, 4)"),
        ("i", np.zeros((1, 4, 4), np.int64), "is int64"),
        ("i", np.full((1, 4, 4), 1.01), "reaches from 1.01 to 1.01"),
        ("i", np.zeros((3, 4, 4), np.uint16), "is uint16"),
        ("m", np.full((4, 4), 256), "the codes 0 to 255"),
        ("m", np.zeros((2, 4, 4), np.uint8), "a mask in a PNG file is (H, W)"),
        ("a", np.full(9, 1.5), "reaches from 1.5 to 1.5"),
        ("a", np.zeros(9, np.int32), "is int32"),
    ],
)
def test_what_a_format_can_not_hold_is_npy_with_the_reason(files, name, array, part):
    encoded = files.encode(name, array, Answer({name: array, "rate": 8000}))
    assert part in encoded.refused
    assert encoded.suffix == ".npy"
    assert np.array_equal(np.load(io.BytesIO(encoded.data)), array)


def test_media_type_that_can_not_hold_the_array_is_refused(files):
    assert files.media_types("i", BYTES) == ["image/png", "image/jpeg"]
    with pytest.raises(BadUsage, match="JPEG holds 1 or 3"):
        files.encode("i", BYTES, Answer({"i": BYTES}), "image/jpeg")
