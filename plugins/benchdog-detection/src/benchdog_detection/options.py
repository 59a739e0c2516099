"""Options of the components."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from benchdog.api import Bounds, Doc


@dataclass(frozen=True, kw_only=True)
class BoxOptions:
    """Options that both sources have."""

    size: Annotated[
        int, Doc("Height and width that images are resized to, in pixels; 0: their own, or 256."), Bounds(ge=0)
    ] = 0
    mode: Annotated[Literal["RGB", "L"], Doc("Color mode: RGB, or L for grayscale.")] = "RGB"
    bad: Annotated[
        Literal["report", "skip"],
        Doc("Boxes and images that can't be used: report stops with a list, skip leaves them out."),
    ] = "report"
    valid: Annotated[float, Doc("Fraction of images in the validation split."), Bounds(gt=0, lt=1)] = 0.15
    test: Annotated[float, Doc("Fraction of images in the test split."), Bounds(ge=0, lt=1)] = 0.15
    split_seed: Annotated[int, Doc("Seed of the split: another number assigns images to other splits.")] = 0


@dataclass(frozen=True, kw_only=True)
class CocoOptions(BoxOptions):
    """Options of the source `coco`."""

    path: Annotated[Path | None, Doc("The JSON file with images, annotations and categories.")] = None
    images: Annotated[
        Path | None, Doc("Folder of the images; else the folder images next to the file, else the file's own.")
    ] = None


@dataclass(frozen=True, kw_only=True)
class YoloOptions(BoxOptions):
    """Options of the source `yolo`."""

    path: Annotated[
        Path | None,
        Doc(
            "Folder with images/, labels/ and classes.txt; with train/, val/ and test/ in them, these are the splits."
        ),
    ] = None
    names: Annotated[Path | None, Doc("Text file with a class name per line; else classes.txt in the folder.")] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class DetectionOptions:
    """Options of the task `detection`."""

    stride: Annotated[
        Literal[2, 4, 8, 16], Doc("Pixels per cell of the score: small objects need small strides.")
    ] = 4
    outputs: Annotated[
        int, Doc("Boxes that the model returns per image, the likeliest first."), Bounds(ge=1, le=1000)
    ] = 100
    threshold: Annotated[float, Doc("Probability from which a box is part of an answer."), Bounds(ge=0, le=1)] = 0.3
    limit: Annotated[int, Doc("Most boxes of an answer."), Bounds(ge=1)] = 100
    overlap: Annotated[
        float,
        Doc("IoU above which the less probable of two boxes of a class is dropped (non-maximum suppression)."),
        Bounds(gt=0, le=1),
    ] = 0.6


@dataclass(frozen=True, kw_only=True, slots=True)
class DetectorOptions:
    """Options of the model `detector`."""

    width: Annotated[int, Doc("Channels of the first stage; they double twice."), Bounds(ge=8)] = 32
    blocks: Annotated[int, Doc("Residual blocks per stage."), Bounds(ge=1)] = 1
