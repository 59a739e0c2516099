"""Options of the augmentations. Nothing heavy is imported here, so that help and schemas are quick."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from benchdog.api import Bounds, Doc


@dataclass(frozen=True, kw_only=True, slots=True)
class FlipOptions:
    """Options of `flip`."""

    axes: Annotated[
        tuple[Literal["horizontal", "vertical", "depth"], ...], Doc("Along which axes, each by itself.")
    ] = ("horizontal",)
    share: Annotated[float, Doc("Share of the samples that are mirrored."), Bounds(ge=0, le=1)] = 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class CropOptions:
    """Options of `crop`."""

    padding: Annotated[int, Doc("By how many pixels a picture is moved at most, each way."), Bounds(ge=1)] = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class AffineOptions:
    """Options of `affine`; pixels from outside are the image's edge, and background in a mask."""

    degrees: Annotated[float, Doc("Turn by at most this angle, each way."), Bounds(ge=0, le=180)] = 10.0
    shift: Annotated[float, Doc("Move by at most this share of each side."), Bounds(ge=0, le=1)] = 0.1
    scale: Annotated[float, Doc("Make larger or smaller by at most this factor; 1: not."), Bounds(ge=1)] = 1.1
    shear: Annotated[float, Doc("Shear by at most this angle in degrees."), Bounds(ge=0, lt=90)] = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class ColorOptions:
    """Options of `colour`: each a share of change up or down."""

    brightness: Annotated[float, Doc("Change of all values, as a share."), Bounds(ge=0, le=1)] = 0.2
    contrast: Annotated[float, Doc("Change of the distance to the mean, as a share."), Bounds(ge=0, le=1)] = 0.2
    saturation: Annotated[
        float, Doc("Change of the distance to grey, as a share; of colour pictures."), Bounds(ge=0, le=1)
    ] = 0.2


@dataclass(frozen=True, kw_only=True, slots=True)
class NoiseOptions:
    """Options of `noise`."""

    std: Annotated[
        float, Doc("Its deviation, as a share of the range of values (of 1 where none is known)."), Bounds(ge=0)
    ] = 0.05


@dataclass(frozen=True, kw_only=True, slots=True)
class CutOutOptions:
    """Options of `cut-out`."""

    size: Annotated[float, Doc("The square's side, as a share of the picture's."), Bounds(gt=0, lt=1)] = 0.3
    share: Annotated[float, Doc("Share of the samples that lose a square."), Bounds(ge=0, le=1)] = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class MixUpOptions:
    """Options of `mix-up`."""

    alpha: Annotated[
        float, Doc("Small: mostly one of the two samples; 1: any share; large: half of each."), Bounds(gt=0, le=10)
    ] = 0.2
