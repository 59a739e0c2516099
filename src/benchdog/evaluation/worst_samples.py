"""The samples of the highest loss and the most confident errors: collected during evaluation, drawn afterwards."""

from __future__ import annotations

import heapq
import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from benchdog.api import Answer, Call, Field, Spec, TaskInfo
from benchdog.errors import BenchdogError
from benchdog.evaluation.batches import PredictedBatch
from benchdog.evaluation.calibration import are_shares
from benchdog.evaluation.grad_cam import NO_LAYER, GradCam
from benchdog.evaluation.results import Attention, Evaluation, RankedSample
from benchdog.evaluation.sample_images import save_attention, save_sample
from benchdog.model.value_files import arrays_in
from benchdog.plugins import returned
from benchdog.training.setup import Components

WORST = 12

Sample = tuple[tuple[NDArray[Any], ...], Any, str]
"""Decoded inputs without a batch axis, target, id."""


@dataclass(slots=True)
class Top:
    """The samples with the highest values, earlier ones first among equals."""

    size: int = WORST
    _heap: list[tuple[float, int, Sample]] = field(default_factory=list)

    def offer(self, value: float, order: int, sample: Callable[[], Sample]) -> None:
        """Add a sample if its value is high enough; only then it is read."""
        if len(self._heap) < self.size:
            heapq.heappush(self._heap, (value, -order, sample()))
        elif (value, -order) > self._heap[0][:2]:
            heapq.heapreplace(self._heap, (value, -order, sample()))

    def entries(self) -> list[tuple[float, int, Sample]]:
        """Return (value, order, sample), the highest first."""
        return [(value, -order, sample) for value, order, sample in sorted(self._heap, key=lambda e: (-e[0], -e[1]))]


class Tops:
    """Collects the samples of the highest loss and, for classes, the most confident errors."""

    def __init__(self, spec: Spec) -> None:
        self.classes = spec.classes
        self.by_name = {"worst": Top()} | ({"confident": Top()} if spec.target.kind == "class" else {})

    def collect(self, batch: PredictedBatch) -> None:
        for i, (total, weight) in enumerate(zip(batch.losses, batch.loss_weights, strict=True)):
            loss = total / weight if weight else 0.0
            self.by_name["worst"].offer(
                math.inf if math.isnan(loss) else loss, batch.start + i, partial(batch.sample, i)
            )
        if "confident" not in self.by_name:
            return
        errors = confident_errors(batch.prediction, batch.score, batch.target, self.classes)
        for i, probability in enumerate(errors):
            if probability >= 0:
                self.by_name["confident"].offer(probability, batch.start + i, partial(batch.sample, i))


def write_worst_samples(
    folder: Path, split: str, tops: dict[str, Top], call: Call, parts: Components, module: Callable[[], Any] | None
) -> Evaluation:
    """Write the samples' images and return the evaluation's lists `worst`, `confident`, and `attention`.

    Args:
        folder: the run's.
        tops: by name; a sample that is in two of them has one image.
        module: returns the torch module (prediction, score), or raises BenchdogError; None when there is none.
    """
    images = folder / "worst" / split
    shutil.rmtree(images, ignore_errors=True)
    images.mkdir(parents=True)
    info = parts.plugins.find("task", parts.recipe.task.name)
    assert isinstance(info.info, TaskInfo)
    options = parts.plugins.options(info, parts.recipe.task.options)
    decode = info.resolve(info.info.answer)
    first = next((top.entries()[0][2] for top in tops.values() if top.entries()), None)
    grad_cam, why = (None, "") if parts.prepare else _grad_cam(parts.spec, first, module)
    samples = {order: sample for top in tops.values() for _, order, sample in top.entries()}

    def answer(inputs: tuple[NDArray[Any], ...]) -> list[Answer]:
        return returned.answers(decode(call, inputs, parts.spec, options), len(inputs[0]), parts.recipe.task.name)

    predictions = _predict(samples, answer)
    entries, shown = dict[int, RankedSample](), parts.data_spec.fields[0]
    for number, (order, (inputs, target, _)) in enumerate(samples.items()):
        paths = images / f"{number}.png", images / f"{number}-seen.png"
        entries[order] = {
            "answer": without_arrays(predictions[order]),
            "target": readable_target(target, parts.spec),
            "picture": _save_sample(folder, paths[0], inputs[0], target, predictions[order], shown, parts.spec),
        }
        if grad_cam is not None:
            batch = tuple(x[None] for x in inputs)
            entries[order]["attention"] = _save_heat_map(folder, paths[1], grad_cam, call, batch, parts.spec)
    lists: dict[str, list[RankedSample]] = {}
    for name, top in tops.items():
        key: Literal["sure", "loss"] = "sure" if name == "confident" else "loss"
        lists[name] = []
        for value, order, (_, _, identity) in top.entries():
            ranked: RankedSample = {"id": identity}
            ranked[key] = value
            lists[name].append(ranked | entries[order])
    result: Evaluation = {"worst": lists["worst"]}
    if "confident" in lists:
        result["confident"] = lists["confident"]
    if why or grad_cam is not None:
        result["attention"] = Attention(layer=grad_cam.layer if grad_cam else None, why=why or None)
    return result


def _predict(samples: Mapping[int, Sample], answer: Callable[..., list[Answer]]) -> dict[int, Mapping[str, Any]]:
    """Predict samples by their order, those of one shape in one batch."""
    groups: dict[tuple[tuple[int, ...], ...], list[int]] = {}
    for order, (inputs, *_) in samples.items():
        groups.setdefault(tuple(x.shape for x in inputs), []).append(order)
    found: dict[int, Mapping[str, Any]] = {}
    for orders in groups.values():
        batch = tuple(np.stack(arrays) for arrays in zip(*(samples[order][0] for order in orders), strict=True))
        found |= {order: each.values for order, each in zip(orders, answer(batch), strict=True)}
    return found


def _grad_cam(spec: Spec, sample: Sample | None, module: Callable[[], Any] | None) -> tuple[GradCam | None, str]:
    """Prepare Grad-CAM for image classification; return it, or why there is none."""
    if spec.fields[0].kind != "image" or spec.target.kind != "class" or sample is None:
        return None, ""
    if spec.output != (spec.classes,):
        return None, "the task has no score for each class"
    if module is None:
        return None, "the trained model is not a torch module"
    try:
        grad_cam = GradCam(module(), tuple(x[None] for x in sample[0]))
    except BenchdogError as error:
        return None, f"the model can't be rebuilt: {error.message.rstrip('.')}"
    except Exception as error:  # a third party's model; the metrics don't need it
        return None, f"Grad-CAM fails on this model: {type(error).__name__}"
    return (grad_cam, "") if grad_cam.layer else (None, NO_LAYER)


def _save_heat_map(
    folder: Path, path: Path, grad_cam: GradCam, call: Call, batch: tuple[NDArray[Any], ...], spec: Spec
) -> str | None:
    """Draw the Grad-CAM heat map of the predicted class; None where it is zero."""
    code = int(call(*batch)[0][0].argmax())
    try:
        heat = grad_cam(batch, code)
    except Exception:  # a third party's layers: no gradient may pass, or the score not depend on this one
        return None
    if not heat.any():
        return None
    save_attention(batch[0][0], spec.fields[0], heat, path)
    return path.relative_to(folder).as_posix()


def _save_sample(
    folder: Path, path: Path, array: Any, target: Any, prediction: Any, kind: Field, spec: Spec
) -> str | None:
    """Draw an image or a slice of a volume, with its masks next to it; None for other samples."""
    if kind.kind not in ("image", "volume"):
        return None
    masks = {}
    if spec.target.kind == "mask":  # ignored pixels stay untinted
        masks = {"mask": np.where(target < spec.classes, target, 0), "predicted": prediction.get("mask")}
    save_sample(array, kind, path, **masks, images=_target_images(target, prediction, spec))
    return path.relative_to(folder).as_posix()


def _target_images(target: Any, prediction: Any, spec: Spec) -> list[NDArray[Any]]:
    """Return the target and the predicted image of its shape, where the target is an image."""
    if spec.target.kind != "image":
        return []
    same = (array for value in prediction.values() for array in arrays_in(value) if array.shape == np.shape(target))
    return [np.asarray(target), *islice(same, 1)]


def readable_target(target: Any, spec: Spec) -> Any:
    """Return a target in JSON form, classes by name; None where it is too long to read."""
    if spec.target.kind == "class":
        return spec.target.classes[int(target)]
    array = np.asarray(target)
    if spec.target.padding is not None and array.ndim:
        array = array[spec.target.real_rows(array[None])[0]]
    if spec.target.kind == "boxes" and array.ndim == 2 and array.shape[1] == 5:
        return [{"label": spec.target.classes[int(row[4])], "box": row[:4].tolist()} for row in array]
    if spec.target.kind == "labels" and array.shape == (spec.classes,):
        return [name for name, true in zip(spec.target.classes, array, strict=True) if true > 0.5]
    return array.tolist() if array.size <= 8 else None


def without_arrays(values: Any) -> dict[str, Any]:
    """Return a prediction's values without its arrays."""
    return {key: value for key, value in values.items() if not any(True for _ in arrays_in(value))}


def confident_errors(
    prediction: NDArray[Any], score: NDArray[Any], target: NDArray[Any], classes: int
) -> Sequence[float]:
    """Return the probability of each wrong prediction of a batch; -1 for right ones and for no probabilities."""
    if target.ndim != 1 or prediction.shape != (len(target), classes) or not are_shares(prediction):
        return [-1.0] * len(target)
    predicted = (score if score.shape == prediction.shape else prediction).argmax(1)
    probability = prediction[np.arange(len(target)), predicted]
    return [float(x) for x in np.where(predicted == target, -1.0, probability)]
