"""The decode operations image and array: each builds a step from its parameters.

A step maps a raw value to an array and raises DecodeError; benchdog.data.decode.decoder adds the sample's id.
"""

from __future__ import annotations

import io
from contextlib import suppress
from typing import Any, Final

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from benchdog.api import IMAGE_FORMATS, MAX_PIXELS, Op, has_more_pages
from benchdog.data.decode.errors import Array, DecodeError, Step
from benchdog.data.decode.options import ArrayOptions, ImageOptions
from benchdog.errors import BadUsage

FORMATS: Final = tuple(each.name for each in IMAGE_FORMATS)
TURNED: Final = (5, 6, 7, 8)
"""EXIF orientations that exchange width and height."""
RESAMPLING: Final = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


# --- image -----------------------------------------------------------------------------------------


def image(options: ImageOptions) -> Step:
    """Build the step from an image file's bytes, or an array that is decoded already, to uint8 (C, H, W)."""
    mode, height, width, middle = options.mode, options.height, options.width, options.middle

    def step(value: Any) -> Array:
        if isinstance(value, np.ndarray):
            return _stored_image(value, 1 if mode == "L" else 3)
        if not isinstance(value, bytes | bytearray | memoryview):
            raise DecodeError(f"an image file's bytes are needed, not {type(value).__name__}")
        image = decode_image(bytes(value), mode)
        if height and width and (middle or image.size != (width, height)):
            box = _center_box(image.size, (width, height), middle) if middle else None
            image = image.resize((width, height), RESAMPLING[options.resample], box)
        pixels = np.asarray(image)
        return np.ascontiguousarray(pixels[None] if mode == "L" else pixels.transpose(2, 0, 1))

    return step


def decode_image(data: bytes, mode: str) -> Image.Image:
    """Decode an image file to 8-bit grayscale or RGB, upright.

    Raises:
        DecodeError: it is damaged, too large, or not an image.
    """
    return _to_mode(_open_image(data), mode)


def image_region(data: bytes, parameters: Op) -> tuple[float, float, float, float] | None:
    """Return what the operation `image` shows of a file, upright: left, top, width, height in pixels of the file.

    None where the file can't be read.
    """
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            turned = image.getexif().get(ExifTags.Base.Orientation) in TURNED
            width, height = (image.height, image.width) if turned else image.size
    except Exception:  # decoding it says what is wrong
        return None
    if not parameters.get("middle"):
        return 0.0, 0.0, float(width), float(height)
    wanted = (parameters["width"], parameters["height"])
    left, top, right, bottom = _center_box((width, height), wanted, parameters["middle"])
    return left, top, right - left, bottom - top


def is_paged(data: bytes) -> bool:
    """Whether an image file has several pages or is an animation: `decode_image` decodes the first of them."""
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            return has_more_pages(image)
    except Exception:  # decoding it says what is wrong
        return False


def _center_box(size: tuple[int, int], wanted: tuple[int, int], share: float) -> tuple[float, float, float, float]:
    """Return the center crop box with the aspect ratio of `wanted`, scaled to a share of the largest that fits."""
    scale = share * min(have / require for have, require in zip(size, wanted, strict=True))
    (left, width), (top, height) = (
        ((have - require * scale) / 2, require * scale) for have, require in zip(size, wanted, strict=True)
    )
    return left, top, left + width, top + height


def _stored_image(value: Array, channels: int) -> Array:
    value = value[None] if value.ndim == 2 and channels == 1 else value
    if value.ndim != 3 or value.shape[0] != channels or value.dtype != np.uint8:
        raise DecodeError(f"an image array must be uint8 ({channels}, H, W), not {value.dtype} {value.shape}")
    return value


def _open_image(data: bytes) -> Image.Image:
    if not data:
        raise DecodeError("the file is empty")
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
        if image.width * image.height > MAX_PIXELS:
            raise DecodeError(f"{image.width} x {image.height} pixels are more than the {MAX_PIXELS:,} allowed")
        image.load()
    except DecodeError:
        raise
    except UnidentifiedImageError:
        raise DecodeError(
            f"it is not an image: it begins with {data[:16]!r}, which is not {', '.join(FORMATS)}"
        ) from None
    except Exception as error:  # Pillow's readers raise a dozen kinds for damaged files
        text = str(error).strip().rstrip(".") or type(error).__name__
        raise DecodeError(f"the image is damaged: {text}") from None
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # the pixels are fine, only the EXIF orientation is damaged
        return image


def _to_mode(image: Image.Image, mode: str) -> Image.Image:
    """Convert to 8-bit grayscale or RGB: scales 16 bits, expands palettes, composites transparency on white."""
    if image.mode.startswith("I"):
        image = _from_16_bit(image)
    if image.mode == "F":
        raise DecodeError("its pixels are floating-point numbers of unknown range; save it with 8 or 16 bits")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, image)
    # Some modes (CMYK, LAB, HSV) convert to RGB only.
    return image if image.mode == mode else image.convert("RGB").convert(mode)


def _from_16_bit(image: Image.Image) -> Image.Image:
    """Scale 0..65535 to 0..255 with rounding; Pillow's own conversion clips at 255."""
    pixels = np.asarray(image).astype(np.int64)
    if pixels.size and (pixels.min() < 0 or pixels.max() > 65_535):
        raise DecodeError("its pixels have more than 16 bits; save it with 8 or 16")
    return Image.fromarray(((pixels * 255 + 32_767) // 65_535).astype(np.uint8))


# --- array -----------------------------------------------------------------------------------------


def array(options: ArrayOptions) -> Step:
    """Build the step from an array, a nested list or a .npy file's bytes to an array of one dtype."""
    shape = options.shape
    dtype: np.dtype[Any] = np.dtype(object)
    with suppress(TypeError):
        dtype = np.dtype(options.dtype)
    if dtype.kind not in "buif":
        raise BadUsage(f"Decode operation 'array': dtype must be a number's such as 'uint8', not {options.dtype!r}.")

    def step(value: Any) -> Array:
        loaded = _loaded(value)
        if loaded.ndim != len(shape) or any(
            want not in (None, have) for want, have in zip(shape, loaded.shape, strict=True)
        ):
            wanted = tuple("any" if axis is None else axis for axis in shape)
            raise DecodeError(f"its shape is {loaded.shape}, not {wanted}")
        return _cast(loaded, dtype)

    return step


def _loaded(value: Any) -> Array:
    try:
        if isinstance(value, bytes | bytearray | memoryview):
            # Never with pickle: unpickling runs code from the file.
            array = np.lib.format.read_array(io.BytesIO(bytes(value)), allow_pickle=False)
        else:
            array = np.asarray(value)
    except (ValueError, TypeError, OverflowError, EOFError, MemoryError) as error:
        raise DecodeError(f"not an array of numbers: {error}") from None
    if array.dtype.kind not in "buif":
        raise DecodeError(f"not an array of numbers but of {array.dtype}")
    return array


def _cast(array: Array, dtype: np.dtype[Any]) -> Array:
    """Convert to a dtype; DecodeError when a value would change by more than float rounding."""
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise DecodeError("it holds NaN or infinity")
    if array.dtype == dtype:
        return np.ascontiguousarray(array)
    with np.errstate(all="ignore"):
        converted = array.astype(dtype)
    same = np.isfinite(converted).all() if dtype.kind == "f" else np.array_equal(converted, array)
    if not same:
        raise DecodeError(f"its values ({array.min():g} to {array.max():g}) don't fit {dtype}")
    return converted
