"""Object detection: sources of images with boxes, a task with COCO's metrics, an anchor-free model."""

from __future__ import annotations

from benchdog.api import ModelInfo, SourceInfo, TaskInfo, hookimpl

CONTRACT = 1
INSTALL = "pip install benchdog-detection"


@hookimpl
def benchdog_sources() -> list[SourceInfo]:
    """Return COCO's and YOLO's formats."""
    return [
        SourceInfo(
            name="coco",
            summary="Images with boxes from a COCO JSON file.",
            target="benchdog_detection.coco:Coco",
            options="benchdog_detection.options:CocoOptions",
            install=INSTALL,
            named_by="path",
        ),
        SourceInfo(
            name="yolo",
            summary="Images with boxes from YOLO text files: the folders images and labels.",
            target="benchdog_detection.yolo:Yolo",
            options="benchdog_detection.options:YoloOptions",
            install=INSTALL,
            named_by="path",
        ),
    ]


@hookimpl
def benchdog_tasks() -> list[TaskInfo]:
    """Return the task, the default for targets that are boxes."""
    return [
        TaskInfo(
            name="detection",
            summary="Find objects: their boxes, classes and probabilities.",
            target="benchdog_detection.task:Detection",
            options="benchdog_detection.options:DetectionOptions",
            install=INSTALL,
            answer="benchdog_detection.answers:answer",
            place="benchdog_detection.answers:place",
            asked=("threshold", "limit", "overlap"),
            targets=("boxes",),
            models={"image": "detector"},
        )
    ]


@hookimpl
def benchdog_models() -> list[ModelInfo]:
    """Return the model."""
    return [
        ModelInfo(
            name="detector",
            summary="A small residual network with a feature pyramid, for detection.",
            target="benchdog_detection.model:build",
            options="benchdog_detection.options:DetectorOptions",
            install=INSTALL,
        )
    ]
