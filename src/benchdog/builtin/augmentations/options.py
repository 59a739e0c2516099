"""Options of the augmentations. Nothing heavy is imported here, so that help and schemas are quick."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from benchdog.api import Bounds, Doc


@dataclass(frozen=True, kw_only=True, slots=True)
class FlipOptions:
    """Options of `flip`."""

    axes: Annotated[
        tuple[Literal["horizontal", "vertical", "depth"], ...], Doc("Axes, each flipped independently.")
    ] = ("horizontal",)
    share: Annotated[float, Doc("Probability that a sample is flipped."), Bounds(ge=0, le=1)] = 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class CropOptions:
    """Options of `crop`."""

    padding: Annotated[int, Doc("Largest shift in pixels, in each direction."), Bounds(ge=1)] = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class AffineOptions:
    """Options of `affine`; pixels from outside are the image's edge, and background in a mask."""

    degrees: Annotated[float, Doc("Largest rotation in degrees, in each direction."), Bounds(ge=0, le=180)] = 10.0
    shift: Annotated[float, Doc("Largest shift as a fraction of each side."), Bounds(ge=0, le=1)] = 0.1
    scale: Annotated[float, Doc("Largest scale factor, up or down; 1: none."), Bounds(ge=1)] = 1.1
    shear: Annotated[float, Doc("Largest shear in degrees."), Bounds(ge=0, lt=90)] = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class ColorOptions:
    """Options of `colour`: each a share of change up or down."""

    brightness: Annotated[float, Doc("Largest change of brightness, as a fraction."), Bounds(ge=0, le=1)] = 0.2
    contrast: Annotated[float, Doc("Largest change of contrast, as a fraction."), Bounds(ge=0, le=1)] = 0.2
    saturation: Annotated[
        float, Doc("Largest change of saturation, as a fraction; color images only."), Bounds(ge=0, le=1)
    ] = 0.2


@dataclass(frozen=True, kw_only=True, slots=True)
class NoiseOptions:
    """Options of `noise`."""

    std: Annotated[
        float,
        Doc("Standard deviation, as a fraction of the value range (of 1 if the range is unknown)."),
        Bounds(ge=0),
    ] = 0.05


@dataclass(frozen=True, kw_only=True, slots=True)
class CutOutOptions:
    """Options of `cut-out`."""

    size: Annotated[float, Doc("Side of the square, as a fraction of the image's."), Bounds(gt=0, lt=1)] = 0.3
    share: Annotated[float, Doc("Probability that a square is erased."), Bounds(ge=0, le=1)] = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class MixUpOptions:
    """Options of `mix-up`."""

    alpha: Annotated[float, Doc("Alpha of the beta distribution of the mixing ratio."), Bounds(gt=0, le=10)] = 0.2
