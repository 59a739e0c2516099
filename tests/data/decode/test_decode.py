from __future__ import annotations

import io
import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from benchdog.api import MAX_PIXELS, Column, Field, Preprocess, Raw, Spec, Target
from benchdog.data.decode.decoder import Decoder, default_preprocess, stack
from benchdog.errors import BadData, BadUsage

CLASS = Target(kind="class", classes=("a", "b"))


def image_spec(channels: int = 3, height: int | None = 8, width: int | None = 6) -> Spec:
    return Spec(fields=(Field(kind="image", shape=(channels, height, width), dtype="uint8"),), target=CLASS)


def with_op(field: Field, op: dict[str, Any], target: Target = CLASS) -> tuple[Spec, Preprocess]:
    return Spec(fields=(field,), target=target), Preprocess(decode={"input": [op]}, transform={})


def one(value: Any, spec: Spec, preprocess: Preprocess | None = None) -> np.ndarray:
    (array,) = Decoder(spec, preprocess or default_preprocess(spec))(Raw(id="the sample", fields={"input": value}))
    return array


def encoded(image: Image.Image, form: str = "PNG", **more: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **more)
    return out.getvalue()


def noise(height: int = 8, width: int = 6, channels: int = 3) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, channels), np.uint8)
    return Image.fromarray(pixels if channels > 1 else pixels[..., 0])


# --- images ----------------------------------------------------------------------------------------


@given(arrays.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 3]))))
@settings(deadline=None, max_examples=60)
def test_png_round_trip(pixels_HWC: np.ndarray) -> None:
    height, width, channels = pixels_HWC.shape
    image = Image.fromarray(pixels_HWC if channels == 3 else pixels_HWC[..., 0])
    array = one(encoded(image), image_spec(channels, height, width))
    assert array.dtype == np.uint8
    assert array.flags.c_contiguous
    assert np.array_equal(array, pixels_HWC.transpose(2, 0, 1))


@given(st.binary(max_size=200))
@settings(deadline=None, max_examples=100)
def test_decoding_arbitrary_bytes_returns_an_image_or_raises_bad_data(data: bytes) -> None:
    for head in (b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"GIF89a", b"BM", b"P6 6 8 255\n", b"II*\0"):
        try:
            array = one(head + data, image_spec())
        except BadData as error:
            assert "the sample" in error.message  # noqa: PT017 - either outcome is right
        else:
            assert array.shape == (3, 8, 6)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"])
def test_truncated_image_raises_bad_data_with_sample_id(form: str) -> None:
    data = encoded(noise(64, 64), form)
    with pytest.raises(BadData, match="the sample") as caught:
        one(data[: len(data) // 2], image_spec(height=64, width=64))
    assert caught.value.code == 5
    assert "damaged" in caught.value.message


def test_text_and_empty_file_are_not_images() -> None:
    with pytest.raises(BadData, match="not an image: it begins with b'hello"):
        one(b"hello, world", image_spec())
    with pytest.raises(BadData, match="empty"):
        one(b"", image_spec())
    with pytest.raises(BadData, match="bytes are needed, not str"):
        one("cat.png", image_spec())


def test_postscript_is_not_an_image() -> None:
    with pytest.raises(BadData, match="not an image"):
        one(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\nshowpage\n", image_spec())


def test_decompression_bomb_is_refused() -> None:
    side = 1 + math.isqrt(MAX_PIXELS)
    data = encoded(Image.new("1", (side, side)))
    assert len(data) < 100_000
    with pytest.raises(BadData, match="pixels"):
        one(data, image_spec())


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "I;16"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_image_mode_is_converted_to_spec_channels(mode: str, channels: int) -> None:
    image = noise().convert("L").convert(mode) if mode in ("1", "I;16") else noise().convert(mode)
    for form in ("PNG", "TIFF", "JPEG"):
        try:
            data = encoded(image, form)
        except (OSError, ValueError):
            continue  # the form can't hold the mode
        assert one(data, image_spec(channels)).shape == (channels, 8, 6)


def test_16_bit_images_are_scaled_not_clipped() -> None:
    levels = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    array = one(encoded(Image.fromarray(levels)), image_spec(1, 256, 256))
    assert np.abs(array[0] - levels / 257).max() <= 0.5
    wide = Image.fromarray(np.full((8, 6), 70_000, np.int32))
    with pytest.raises(BadData, match="more than 16 bits"):
        one(encoded(wide, "TIFF"), image_spec(1))
    with pytest.raises(BadData, match="floating-point"):
        one(encoded(Image.fromarray(np.ones((8, 6), np.float32)), "TIFF"), image_spec(1))


def test_transparent_images_are_composited_on_white() -> None:
    clear = np.zeros((8, 6, 4), np.uint8)
    assert (one(encoded(Image.fromarray(clear)), image_spec()) == 255).all()
    assert (one(encoded(Image.fromarray(clear)), image_spec(1)) == 255).all()
    palette = noise().convert("P")
    palette.info["transparency"] = palette.getpixel((0, 0))
    assert (one(encoded(palette), image_spec())[:, 0, 0] == 255).all()


def test_exif_orientation_is_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees
    image = noise(6, 8)
    plain, turned = encoded(image, "PNG"), encoded(image, "PNG", exif=exif)
    upright = one(turned, image_spec(3, 8, 6))
    assert np.array_equal(upright, np.rot90(one(plain, image_spec(3, 6, 8)), k=-1, axes=(1, 2)))


def test_resizing_is_antialiased() -> None:
    board = np.indices((64, 64)).sum(0) % 2 * 255
    small = one(encoded(Image.fromarray(board.astype(np.uint8))), image_spec(1, 8, 8))
    assert np.abs(small.astype(int) - 127).max() <= 2


def test_image_operation_accepts_uint8_arrays() -> None:
    pixels = np.zeros((8, 6), np.uint8)
    assert one(pixels, image_spec(1)).shape == (1, 8, 6)
    with pytest.raises(BadData, match="must be uint8"):
        one(pixels.astype(float), image_spec(1))
    with pytest.raises(BadData, match="spec says"):
        one(np.zeros((1, 9, 9), np.uint8), image_spec(1))


def test_images_without_spec_size_keep_their_own() -> None:
    spec = image_spec(3, None, None)
    assert one(encoded(noise(5, 7)), spec).shape == (3, 5, 7)
    small, large = one(encoded(noise(5, 7)), spec), one(encoded(noise(7, 7)), spec)
    with pytest.raises(BadData, match="different shapes") as caught:
        stack([(small,), (large,)])
    assert "size" in caught.value.hint


# --- arrays ----------------------------------------------------------------------------------------

PLAIN = st.sampled_from([np.uint8, np.int16, np.int64, np.float32, np.float64, np.bool_])


@given(arrays.arrays(PLAIN, arrays.array_shapes(max_dims=3, max_side=4)))
@settings(deadline=None, max_examples=60)
def test_array_list_and_npy_file_decode_the_same(array: np.ndarray) -> None:
    field = Field(kind="audio", shape=(None,) * array.ndim, dtype=array.dtype.name)
    spec, preprocess = with_op(field, {"op": "array", "dtype": array.dtype.name, "shape": [None] * array.ndim})
    out = io.BytesIO()
    np.save(out, array)
    forms = [array, out.getvalue(), array.tolist()]
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        for form in forms:
            with pytest.raises(BadData, match="NaN or infinity"):
                one(form, spec, preprocess)
        return
    for form in forms:
        result = one(form, spec, preprocess)
        assert result.dtype == array.dtype
        assert np.array_equal(result, array)


def test_array_values_that_do_not_fit_dtype_or_shape_are_refused() -> None:
    spec, preprocess = with_op(
        Field(kind="audio", shape=(2,), dtype="uint8"), {"op": "array", "dtype": "uint8", "shape": [2]}
    )
    assert one([0, 255], spec, preprocess).tolist() == [0, 255]
    for value, why in (
        ([0, 256], "fit uint8"), ([0, -1], "fit uint8"), ([0.5, 1], "fit uint8"), ([1, 2, 3], "shape"),
        ([[1], [2, 3]], "not an array"), (["a", "b"], "not an array"), (None, "not an array"),
        (b"\x93NUMPY", "not an array"), (b"", "not an array"),
    ):  # fmt: skip
        with pytest.raises(BadData, match=why):
            one(value, spec, preprocess)


def test_pickle_in_npy_file_is_not_loaded() -> None:
    out = io.BytesIO()
    np.save(out, np.array([print, 1], dtype=object), allow_pickle=True)
    spec, preprocess = with_op(
        Field(kind="audio", shape=(2,), dtype="float32"), {"op": "array", "dtype": "float32", "shape": [2]}
    )
    with pytest.raises(BadData, match="not an array"):
        one(out.getvalue(), spec, preprocess)


# --- rows ------------------------------------------------------------------------------------------

COLUMNS = (Column(name="age"), Column(name="town", kind="category", categories=("Bern", "Rome", "3")))
TABLE = Spec(
    fields=(Field(kind="table", shape=(2,), dtype="float32", columns=COLUMNS),),
    target=CLASS,
)


@given(st.floats(width=32, allow_nan=False, allow_infinity=False), st.sampled_from(["Bern", "Rome", "Paris"]))
def test_numbers_and_numeric_strings_decode_the_same(age: float, town: str) -> None:
    code = {"Bern": 1, "Rome": 2}.get(town, 0)
    for written in (age, repr(age), f"  {age!r} "):
        row = one({"age": written, "town": town, "other": object()}, TABLE)
        assert row.dtype == np.float32
        assert row.tolist() == [np.float32(age), code]


def test_missing_cells_decode_to_nan_and_code_0() -> None:
    for gap in (None, "", "  ", math.nan):
        row = one({"age": gap, "town": gap}, TABLE)
        assert math.isnan(row[0])
        assert row[1] == 0
    op = {**default_preprocess(TABLE).decode["input"][0], "missing": ["", "NA"]}
    row = one({"age": "na", "town": "Na"}, TABLE, Preprocess(decode={"input": [op]}, transform={}))
    assert math.isnan(row[0])
    assert row[1] == 0
    assert one({"age": 1, "town": 3.0}, TABLE)[1] == 3


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"age": "old", "town": "Bern"}, "column 'age': 'old' is not a number"),
        ({"age": "1_000", "town": "Bern"}, "'1_000' is not a number"),
        ({"age": "inf", "town": "Bern"}, "not a finite number"),
        ({"age": 1e39, "town": "Bern"}, "not a finite number"),
        ({"age": [1], "town": "Bern"}, "is not a number"),
        ({"age": 1}, "no column 'town'"),
        ([1, 2], "must map columns"),
    ],
)
def test_invalid_row_error_names_column_and_value(row: Any, why: str) -> None:
    with pytest.raises(BadData, match=why):
        one(row, TABLE)


# --- tokens ----------------------------------------------------------------------------------------

LETTERS = Spec(
    fields=(Field(kind="tokens", shape=(4,), dtype="int64"),),
    target=Target(kind="next-token", classes=("a", "b", "é"), shape=(4,)),
)


@given(st.text(alphabet="abé", min_size=1, max_size=9))
def test_characters_are_encoded_as_vocabulary_indices(text: str) -> None:
    codes = one(text, LETTERS)
    assert codes.dtype == np.int64
    assert "".join("abé"[code] for code in codes) == text


def test_unknown_character_error_names_its_position() -> None:
    with pytest.raises(BadData, match="'z' at 2"):
        one("abz", LETTERS)
    with pytest.raises(BadData, match="text is empty"):
        one("", LETTERS)
    with pytest.raises(BadData, match="text is needed"):
        one(3, LETTERS)


# --- operations ------------------------------------------------------------------------------------

FIELD = Field(kind="image", shape=(1, 2, 2), dtype="uint8")


@pytest.mark.parametrize(
    ("op", "why"),
    [
        ({"op": "imag", "mode": "L"}, "Unknown decode operation 'imag'"),
        ({}, "Unknown decode operation ''"),
        ({"op": "image", "mode": "L", "heigth": 2}, "no option 'heigth'"),
        ({"op": "image"}, "needs 'mode'"),
        ({"op": "image", "mode": "CMYK"}, "mode is 'CMYK'"),
        ({"op": "image", "mode": "L", "height": 2}, "width must be"),
        ({"op": "image", "mode": "L", "height": 0, "width": 2}, "height is 0"),
        ({"op": "image", "mode": "L", "height": True, "width": 2}, "height is True"),
        ({"op": "array", "dtype": "uint8", "shape": "2"}, "shape is '2'"),
        ({"op": "array", "dtype": "uint8", "shape": [-1]}, "shape must be"),
        ({"op": "array", "dtype": "str", "shape": [2]}, "dtype must be"),
        ({"op": "array", "dtype": "no", "shape": [2]}, "dtype must be"),
        ({"op": "row", "columns": []}, "columns must be"),
        ({"op": "row", "columns": [{"name": "a", "kind": "date"}]}, "kind must be"),
        ({"op": "row", "columns": [{"name": "a", "kinds": "number"}]}, "columns must be"),
        ({"op": "row", "columns": [{"name": "a"}], "missing": "NA"}, "missing is 'NA'"),
        ({"op": "tokens", "vocabulary": ["ab"]}, "vocabulary must be"),
        ({"op": "tokens", "vocabulary": ["a", "a"]}, "vocabulary must be"),
    ],
)
def test_unknown_decode_operation_or_parameter_is_refused(op: dict[str, Any], why: str) -> None:
    spec, preprocess = with_op(FIELD, op)
    with pytest.raises(BadUsage, match=why):
        Decoder(spec, preprocess)


def test_unknown_decode_operation_suggests_nearest_name() -> None:
    spec, preprocess = with_op(FIELD, {"op": "imag"})
    with pytest.raises(BadUsage) as caught:
        Decoder(spec, preprocess)
    assert "'image'" in caught.value.hint
    with pytest.raises(BadUsage, match="unknown field 'inputs'"):
        Decoder(spec, Preprocess(decode={"inputs": [{"op": "image", "mode": "L"}]}, transform={}))
    with pytest.raises(BadUsage, match="has no operation"):
        Decoder(spec, Preprocess(decode={}, transform={}))


def test_sample_without_field_is_refused() -> None:
    spec = image_spec()
    with pytest.raises(BadData, match="no field 'input'"):
        Decoder(spec, default_preprocess(spec))(Raw(id="x", fields={"image": b""}))


@pytest.mark.parametrize(
    "field",
    [
        Field(kind="image", shape=(3, 8, 8), dtype="uint8"),
        Field(kind="image", shape=(4, 8, 8), dtype="uint8"),
        Field(kind="image", shape=(1, 8, 8), dtype="float32"),
        Field(kind="volume", shape=(1, 4, 4, 4), dtype="int16"),
        Field(kind="table", shape=(3,), dtype="float32"),
        Field(kind="table", shape=(2,), dtype="float32", columns=COLUMNS),
        Field(kind="audio", shape=(1, None), dtype="float32"),
        Field(kind="tokens", shape=(5,), dtype="int64"),
    ],
)
def test_default_preprocess_of_every_kind_decodes_and_is_json(field: Field) -> None:
    spec = Spec(fields=(field,), target=CLASS)
    preprocess = default_preprocess(spec)
    for ops in (preprocess.decode, preprocess.transform):
        assert json.loads(json.dumps(ops)) == ops
    shape = tuple(5 if axis is None else axis for axis in field.shape)
    value: Any = {"age": 1, "town": "Rome"} if field.columns else np.zeros(shape, field.dtype)
    array = one(value, spec, preprocess)
    assert array.shape == shape
    assert array.dtype == field.dtype


def test_decoded_fields_follow_spec_order() -> None:
    a, b = Field(kind="tokens", shape=(2,), dtype="int64", name="a"), image_spec(1, 2, 2).fields[0]
    spec = Spec(fields=(a, b), target=CLASS)
    raw = Raw(id="x", fields={"input": np.zeros((1, 2, 2), np.uint8), "a": [1, 2]})
    first, second = Decoder(spec, default_preprocess(spec))(raw)
    assert first.tolist() == [1, 2]
    assert second.shape == (1, 2, 2)
    stacked = stack([(first, second)] * 3)
    assert [array.shape for array in stacked] == [(3, 2), (3, 1, 2, 2)]
    with pytest.raises(BadData, match="no samples"):
        stack([])


@pytest.mark.parametrize("words", [("false", "true"), ("False", "True"), ("FALSE", "TRUE")])
def test_booleans_match_categories_in_any_case(words: tuple[str, str]) -> None:
    column = Column(name="on", kind="category", categories=words)
    row = {"op": "row", "columns": [{"name": "on", "kind": "category", "categories": list(words)}]}
    preprocess = Preprocess(decode={"input": [row]}, transform={})
    spec = Spec(
        fields=(Field(kind="table", shape=(1,), dtype="float32", columns=(column,)),),
        target=Target(kind="class"),
    )
    assert [one({"on": on}, spec, preprocess).item() for on in (False, True)] == [1, 2]
