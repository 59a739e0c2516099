"""Options of the tasks. Nothing heavy is imported here, so that help and schemas are quick."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from benchdog.api import Bounds, Doc

Balance = Literal["none", "balanced"] | Mapping[str, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassificationOptions:
    """Options of the task `classification`."""

    criterion: Annotated[
        str, Doc("cross-entropy, focal, a criterion of torch.nn by class name, or package.module:Class.")
    ] = "cross-entropy"
    criterion_options: Annotated[
        Mapping[str, Any], Doc("Arguments of a criterion given by class name: { margin = 0.5 }.")
    ] = field(default_factory=dict)
    gamma: Annotated[
        float, Doc("Gamma of the focal loss: down-weights well-classified samples; 0: cross-entropy."), Bounds(ge=0)
    ] = 2.0
    class_weights: Annotated[
        Balance, Doc("Class weights: none, balanced (inverse frequency), or by name: { cat = 2.0 }, others 1.")
    ] = "none"
    label_smoothing: Annotated[
        float, Doc("Label smoothing: fraction of the target spread over all classes."), Bounds(ge=0, lt=1)
    ] = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelsOptions:
    """Options of the task `multi-label`."""

    pos_weight: Annotated[
        Literal["none", "balanced"],
        Doc("Weight of positive labels: 1, or balanced (negatives / positives of each label)."),
    ] = "none"
    threshold: Annotated[float, Doc("Probability from which a label is predicted."), Bounds(gt=0, lt=1)] = 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class OrdinalOptions:
    """Options of the task `ordinal`."""

    order: Annotated[
        tuple[str, ...],
        Doc("Classes in ascending order; default: by number if all are numbers, else as the source lists them."),
    ] = ()
    loss: Annotated[
        Literal["thresholds", "likelihood"],
        Doc("Binary cross-entropy of each threshold between adjacent classes, or cross-entropy of the class."),
    ] = "thresholds"
    class_weights: Annotated[
        Balance, Doc("Class weights: none, balanced (inverse frequency), or by name: { cat = 2.0 }, others 1.")
    ] = "none"


@dataclass(frozen=True, kw_only=True, slots=True)
class EmbeddingOptions:
    """Options of the task `embedding`."""

    dim: Annotated[int, Doc("Embedding dimension."), Bounds(ge=1, le=65_536)] = 64
    temperature: Annotated[
        float, Doc("Temperature of the contrastive loss: lower separates hard negatives more."), Bounds(gt=0)
    ] = 0.1
    nearest: Annotated[int, Doc("Number of nearest neighbors in a prediction."), Bounds(ge=0)] = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class RegressionOptions:
    """Options of the task `regression`."""

    loss: Annotated[
        str,
        Doc(
            "Loss on the standardized target: mse, mae, huber, a criterion of torch.nn by class "
            "name, or package.module:Class."
        ),
    ] = "mse"
    loss_options: Annotated[
        Mapping[str, Any], Doc("Arguments of a criterion given by class name: { beta = 0.5 }.")
    ] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class SegmentationOptions:
    """Options of the task `segmentation`."""

    loss: Annotated[
        Literal["cross-entropy", "focal", "dice", "dice+cross-entropy", "batch-dice"],
        Doc("Per pixel (cross-entropy, focal), per sample (dice, both), or over the batch (batch-dice)."),
    ] = "cross-entropy"
    gamma: Annotated[
        float, Doc("Gamma of the focal loss: down-weights well-classified pixels; 0: cross-entropy."), Bounds(ge=0)
    ] = 2.0
    class_weights: Annotated[
        Balance, Doc("Class weights: none, balanced (inverse frequency), or by name: { cell = 2.0 }, others 1.")
    ] = "none"
    ignore: Annotated[int | None, Doc("Value of pixels to ignore in the loss and the metrics (ignore_index).")] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageToImageOptions:
    """Options of the task `image-to-image`."""

    loss: Annotated[
        Literal["mse", "mae", "huber"],
        Doc("Loss on values scaled to 0 to 1: squared error, absolute error, or Huber (squared up to 1)."),
    ] = "mse"
    range: Annotated[
        tuple[float, float] | tuple[()],
        Doc(
            "Least and greatest value of the target: predictions are clamped to them; default: those of its integers."
        ),
    ] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class NextTokenOptions:
    """Options of the task `next-token`: how text is continued."""

    length: Annotated[int, Doc("Number of tokens to generate."), Bounds(ge=0)] = 200
    temperature: Annotated[float, Doc("Sampling temperature; 0: greedy decoding."), Bounds(ge=0)] = 0.8
    seed: Annotated[int, Doc("Seed of the sampling."), Bounds(ge=0)] = 0
    ignore: Annotated[
        int | None, Doc("Token id to ignore as a target in the loss and the metrics (ignore_index).")
    ] = None
