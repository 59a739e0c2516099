"""Images of samples, as small PNG files for the report: images, masks, heat maps."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from benchdog.api import Field
from benchdog.system import files

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

MASK_COLORS = ("#e69f00", "#56b4e9", "#009e73", "#cc79a7", "#d55e00", "#0072b2", "#f0e442")
"""Tints of the mask classes 1, 2, ... (class 0 stays untinted), distinguishable with color blindness."""

SMALLEST = 160  # pixels of the longer side: an 8 x 8 digit must be visible
LARGEST = 640


def save_sample(
    array: NDArray[Any],
    field: Field,
    path: Path,
    mask: NDArray[Any] | None = None,
    predicted: NDArray[Any] | None = None,
    images: Sequence[NDArray[Any]] = (),
) -> bool:
    """Write a decoded sample as a PNG file; return whether its kind can be drawn.

    Args:
        array: one sample in its storage type: image (C, H, W) or volume (C, D, H, W).
        field: the sample's field; its `range` fixes black and white, else the dtype or the values do.
        path: the PNG file.
        mask: the actual classes, (H, W) or (D, H, W): drawn as a second panel.
        predicted: the predicted classes, shaped like `mask`: drawn as a third panel.
        images: images (C, H, W) of one dtype and range, the actual one first: drawn as further panels.
    """
    array = np.asarray(array)
    masks = [np.asarray(m) for m in (mask, predicted) if m is not None]
    if field.kind == "volume" and array.ndim == 4:
        depth = _most_wrong_slice(array.shape[1], masks)
        array = array[:, depth]
        masks = [m[depth] if m.ndim == 3 else m for m in masks]
    if field.kind not in ("image", "volume") or array.ndim != 3 or 0 in array.shape:
        return False
    pixels = _pixels(array, field)
    panels = [pixels, *(_tinted(pixels, m) for m in masks if m.shape == array.shape[1:])]
    if images:
        panels += _target_panels(images)
        height, width = max(panel.shape[:2] for panel in panels)
        panels = [_enlarged(panel, height, width) for panel in panels]
    buffer = io.BytesIO()
    _side_by_side([_resized(panel) for panel in panels]).save(buffer, format="PNG")
    files.write_bytes(path, buffer.getvalue())
    return True


def save_attention(array: NDArray[Any], field: Field, heat: NDArray[Any], path: Path) -> None:
    """Write an image (C, H, W) as a PNG file, gray, with a heat map (H, W), 0 to 1, laid over it."""
    image = _resized(_pixels(array, field)).convert("L")
    warm = Image.fromarray(np.rint(np.clip(heat, 0, 1) * 255).astype(np.uint8)).resize(
        image.size, Image.Resampling.BICUBIC
    )
    gray = np.asarray(image, np.float64)[..., None] * 0.8
    share = np.asarray(warm, np.float64)[..., None] / 255 * 0.75
    # From dark red over orange to yellow, so that the hottest places are the lightest too.
    color = np.concatenate([170 + 85 * share / 0.75, 40 + 170 * share / 0.75, 20 + 20 * share], axis=2)
    mixed = Image.fromarray(np.rint((1 - share) * gray + share * color).astype(np.uint8))
    buffer = io.BytesIO()
    mixed.save(buffer, format="PNG")
    files.write_bytes(path, buffer.getvalue())


def _most_wrong_slice(depth: int, masks: list[NDArray[Any]]) -> int:
    """Choose the slice where target and prediction differ most; the middle one where they don't."""
    middle = depth // 2
    if len(masks) < 2 or any(m.ndim != 3 or m.shape != masks[0].shape for m in masks):
        return middle
    wrong = (masks[0] != masks[1]).sum(axis=(1, 2))
    return int(wrong.argmax()) if wrong.any() else middle


def _pixels(array: NDArray[Any], field: Field) -> NDArray[np.uint8]:
    """Convert (C, H, W) of any storage type to (H, W, 3) bytes."""
    values = array[:3] if array.shape[0] >= 3 else array[:1]
    if values.dtype == np.uint8 and field.range in (None, (0, 255)):
        scaled = values
    else:
        floats = values.astype(np.float64)
        seen = floats[np.isfinite(floats)]
        low, high = field.range or ((seen.min(), seen.max()) if seen.size else (0.0, 1.0))
        span = (high - low) or 1.0
        unit = np.clip(np.nan_to_num((floats - low) / span, nan=0.0, posinf=1.0, neginf=0.0), 0, 1)
        scaled = np.rint(unit * 255).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(np.moveaxis(scaled, 0, -1), (*array.shape[1:], 3)))


def _target_panels(images: Sequence[NDArray[Any]]) -> list[NDArray[np.uint8]]:
    """Draw images of one range, which the first, the actual one, fixes for floats."""
    actual = images[0]
    whole = actual.dtype == np.uint8
    span = (0.0, 255.0) if whole else (float(np.nanmin(actual)), float(np.nanmax(actual)))
    field = Field(kind="image", shape=actual.shape, dtype=actual.dtype.name, range=span)
    return [_pixels(image, field) for image in images]


def _enlarged(pixels: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Bring a panel to a size, without smoothing: the input of a super-resolution is smaller than its target."""
    if pixels.shape[:2] == (height, width):
        return pixels
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.NEAREST))


def _tinted(pixels: NDArray[np.uint8], mask: NDArray[Any]) -> NDArray[np.uint8]:
    """Blend the classes' colors into an image (H, W, 3)."""
    colors = np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in MASK_COLORS], np.float64)
    codes = mask.astype(np.int64)
    labeled = codes > 0
    out = pixels.astype(np.float64)
    out[labeled] = 0.45 * out[labeled] + 0.55 * colors[(codes[labeled] - 1) % len(colors)]
    return out.astype(np.uint8)


def _resized(pixels: NDArray[np.uint8]) -> Image.Image:
    """Enlarge a small image by whole pixels, shrink a large one."""
    longer = max(pixels.shape[:2])
    if longer < SMALLEST:
        times = -(-SMALLEST // longer)
        pixels = pixels.repeat(times, axis=0).repeat(times, axis=1)
    image = Image.fromarray(pixels)
    if longer > LARGEST:
        image.thumbnail((LARGEST, LARGEST), Image.Resampling.BOX)
    return image


def _side_by_side(panels: list[Image.Image]) -> Image.Image:
    """Join panels of one size, with a transparent gap that suits a light and a dark page."""
    if len(panels) == 1:
        return panels[0]
    gap = 6
    width, height = panels[0].size
    sheet = Image.new("RGBA", (len(panels) * (width + gap) - gap, height), (0, 0, 0, 0))
    for i, panel in enumerate(panels):
        sheet.paste(panel, (i * (width + gap), 0))
    return sheet
