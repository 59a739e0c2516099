"""Predictions as users see them. No torch: exports run without it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from benchdog.api import Answer, Call, Spec
from benchdog_detection.boxes import detections
from benchdog_detection.options import DetectionOptions


def answer(call: Call, inputs: tuple[np.ndarray, ...], spec: Spec, options: DetectionOptions | None) -> list[Answer]:
    """Return the number of boxes, and each with label, probability and corners in pixels of the decoded image."""
    options = options or DetectionOptions()
    predictions, _ = call(*inputs)
    answers = []
    for prediction in predictions:
        found = detections(prediction, options.overlap)
        found = found[found[:, 4] >= options.threshold][: options.limit]
        boxes = [
            {
                "label": spec.target.classes[int(row[5])],
                "probability": float(row[4]),
                "box": [round(float(x), 2) for x in row[:4]],
            }
            for row in found
        ]
        answers.append(Answer({"count": len(boxes), "boxes": boxes}))
    return answers


def place(
    answer: Answer, region: tuple[float, float, float, float], spec: Spec, options: DetectionOptions | None
) -> Answer:
    """Convert boxes to pixels of the image file, of which the decoded image shows `region`."""
    left, top, width, height = region
    rows, columns = spec.size
    if not rows or not columns:
        return answer
    across, down = width / columns, height / rows
    boxes = []
    for each in answer.values["boxes"]:
        x1, y1, x2, y2 = each["box"]
        corners = (left + x1 * across, top + y1 * down, left + x2 * across, top + y2 * down)
        boxes.append({**each, "box": [round(x, 2) for x in corners]})
    return replace(answer, values={**answer.values, "boxes": boxes})
