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
        Mapping[str, Any], Doc("Arguments of a criterion that is named by its class: { margin = 0.5 }.")
    ] = field(default_factory=dict)
    gamma: Annotated[float, Doc("How much focal spares samples that are answered well; 0: not."), Bounds(ge=0)] = 2.0
    class_weights: Annotated[
        Balance, Doc("What a class counts: none, balanced (rare ones more), or by name: { cat = 2.0 }, others 1.")
    ] = "none"
    label_smoothing: Annotated[
        float, Doc("Share of the truth that is spread over all classes."), Bounds(ge=0, lt=1)
    ] = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelsOptions:
    """Options of the task `multi-label`."""

    pos_weight: Annotated[
        Literal["none", "balanced"],
        Doc("What a label that is true counts: 1, or as much as all samples where it isn't together."),
    ] = "none"
    threshold: Annotated[float, Doc("Probability from which a label is answered."), Bounds(gt=0, lt=1)] = 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class OrdinalOptions:
    """Options of the task `ordinal`."""

    order: Annotated[
        tuple[str, ...],
        Doc("Classes, the lowest first; else by number where all are numbers, or as the source lists them."),
    ] = ()
    loss: Annotated[
        Literal["thresholds", "likelihood"],
        Doc("Cross-entropy of each threshold between two classes, or of the class."),
    ] = "thresholds"
    class_weights: Annotated[
        Balance, Doc("What a class counts: none, balanced (rare ones more), or by name: { cat = 2.0 }, others 1.")
    ] = "none"


@dataclass(frozen=True, kw_only=True, slots=True)
class EmbeddingOptions:
    """Options of the task `embedding`."""

    dim: Annotated[int, Doc("Length of the vector."), Bounds(ge=1, le=65_536)] = 64
    temperature: Annotated[float, Doc("Lower pushes near others harder apart."), Bounds(gt=0)] = 0.1
    nearest: Annotated[int, Doc("How many of the other inputs an answer names."), Bounds(ge=0)] = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class RegressionOptions:
    """Options of the task `regression`."""

    loss: Annotated[
        str,
        Doc(
            "Error of the standardised target: mse, mae, huber, a criterion of torch.nn by class name, "
            "or package.module:Class."
        ),
    ] = "mse"
    loss_options: Annotated[
        Mapping[str, Any], Doc("Arguments of a criterion that is named by its class: { beta = 0.5 }.")
    ] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class SegmentationOptions:
    """Options of the task `segmentation`."""

    loss: Annotated[
        Literal["cross-entropy", "focal", "dice", "dice+cross-entropy", "batch-dice"],
        Doc("Per pixel (cross-entropy, focal), per sample (dice, both), or over the batch (batch-dice)."),
    ] = "cross-entropy"
    gamma: Annotated[float, Doc("How much focal spares pixels that are answered well; 0: not."), Bounds(ge=0)] = 2.0
    class_weights: Annotated[
        Balance, Doc("What a class counts: none, balanced (rare ones more), or by name: { cell = 2.0 }, others 1.")
    ] = "none"
    ignore: Annotated[
        int | None, Doc("Code of pixels that count nowhere: neither for the loss nor for the metrics.")
    ] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class NextTokenOptions:
    """Options of the task `next-token`: how text is continued."""

    length: Annotated[int, Doc("Tokens to write after the prompt."), Bounds(ge=0)] = 200
    temperature: Annotated[
        float, Doc("0 takes the likeliest token each time; 1 draws as the model says."), Bounds(ge=0)
    ] = 0.8
    seed: Annotated[int, Doc("Another number draws another text."), Bounds(ge=0)] = 0
    ignore: Annotated[
        int | None, Doc("Code of tokens that count nowhere as targets: neither for the loss nor for the metrics.")
    ] = None
