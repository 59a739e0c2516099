"""The samples that a model is most wrong about: found while a split is judged, told and drawn afterwards."""

from __future__ import annotations

import heapq
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchdog.api import Call, Spec, TaskInfo
from benchdog.errors import BenchdogError
from benchdog.evaluation.grad_cam import NO_LAYER, GradCam
from benchdog.evaluation.sample_images import save_attention, save_picture
from benchdog.training.setup import Components

WORST = 12

Sample = tuple[tuple[NDArray[Any], ...], Any, str]
"""Decoded inputs without a batch axis, target, id."""


@dataclass(slots=True)
class Top:
    """The samples with the highest figures, earlier ones first among equals."""

    size: int = WORST
    _heap: list[tuple[float, int, Sample]] = field(default_factory=list)

    def offer(self, figure: float, order: int, sample: Callable[[], Sample]) -> None:
        """Take a sample in if its figure is high enough; only then it is asked for."""
        if len(self._heap) < self.size:
            heapq.heappush(self._heap, (figure, -order, sample()))
        elif (figure, -order) > self._heap[0][:2]:
            heapq.heapreplace(self._heap, (figure, -order, sample()))

    def entries(self) -> list[tuple[float, int, Sample]]:
        """Give (figure, order, sample), the highest first."""
        return [
            (figure, -order, sample) for figure, order, sample in sorted(self._heap, key=lambda e: (-e[0], -e[1]))
        ]


def write_worst_samples(
    folder: Path, split: str, tops: dict[str, Top], call: Call, parts: Components, module: Callable[[], Any] | None
) -> dict[str, Any]:
    """Write the samples' pictures and give, by name, lists of {"id", "loss" or "sure", "answer", "target", ...}.

    Args:
        folder: the run's.
        tops: by name; a sample that is in two of them has one picture.
        module: gives the torch module (answer, score), or raises BenchdogError; None when there is none.
    """
    place = folder / "worst" / split
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    info = parts.plugins.find("task", parts.recipe.task.name)
    assert isinstance(info.info, TaskInfo)
    options = parts.plugins.options(info, parts.recipe.task.options)
    answer = info.resolve(info.info.answer)
    first = next((top.entries()[0][2] for top in tops.values() if top.entries()), None)
    look, why = _attention(parts.spec, first, module)
    drawn: dict[int, dict[str, Any]] = {}
    result: dict[str, Any] = {}
    for name, top in tops.items():
        lines = []
        for figure, order, (inputs, target, identity) in top.entries():
            if order not in drawn:
                batch = tuple(x[None] for x in inputs)
                said = answer(call, batch, parts.spec, options)[0].values
                entry = {"answer": plain(said), "target": target_told(target, parts.spec)}
                paths = place / f"{len(drawn)}.png", place / f"{len(drawn)}-seen.png"
                entry["picture"] = _picture(folder, paths[0], batch[0][0], target, said, parts.spec)
                if look is not None:
                    entry["attention"] = _seen(folder, paths[1], look, call, batch, parts.spec)
                drawn[order] = entry
            lines.append({"id": identity, {"confident": "sure"}.get(name, "loss"): figure, **drawn[order]})
        result[name] = lines
    if why or look is not None:
        result["attention"] = {"layer": look.layer if look else None, "why": why or None}
    return result


def _attention(spec: Spec, sample: Sample | None, module: Callable[[], Any] | None) -> tuple[GradCam | None, str]:
    """Prepare Grad-CAM for images that are classified; give it, or why there is none."""
    if spec.fields[0].kind != "image" or spec.target.kind != "class" or sample is None:
        return None, ""
    if module is None:
        return None, "what was trained is no torch module"
    try:
        look = GradCam(module(), tuple(x[None] for x in sample[0]))
    except BenchdogError as error:
        return None, f"the model can't be built again: {error.message.rstrip('.')}"
    except Exception as error:  # a stranger's model; the figures don't need it
        return None, f"the model can't be looked into: {type(error).__name__}"
    return (look, "") if look.layer else (None, NO_LAYER)


def _seen(
    folder: Path, path: Path, look: GradCam, call: Call, batch: tuple[NDArray[Any], ...], spec: Spec
) -> str | None:
    """Draw where the network looked for what it answered; None when it was nowhere."""
    code = int(call(*batch)[0][0].argmax())
    try:
        heat = look(batch, code)
    except Exception:  # a stranger's layers: no gradient may pass, or the score not depend on this one
        return None
    if not heat.any():
        return None
    save_attention(batch[0][0], spec.fields[0], heat, path)
    return path.relative_to(folder).as_posix()


def _picture(folder: Path, path: Path, array: Any, target: Any, said: Any, spec: Spec) -> str | None:
    """Draw a sample that can be seen; masks beside it."""
    kind = spec.fields[0]
    if kind.kind not in ("image", "volume"):
        return None
    masks = {}
    if spec.target.kind == "mask":  # pixels that count nowhere stay bare
        masks = {"mask": np.where(target < spec.classes, target, 0), "answer": said.get("mask")}
    save_picture(array, kind, path, **masks)
    return path.relative_to(folder).as_posix()


def target_told(target: Any, spec: Spec) -> Any:
    """Give a target as people and JSON want it."""
    if spec.target.kind == "class":
        return spec.target.classes[int(target)]
    array = np.asarray(target)
    if spec.target.kind == "labels" and array.shape == (spec.classes,):
        return [name for name, so in zip(spec.target.classes, array, strict=True) if so > 0.5]
    return array.tolist() if array.size <= 8 else None


def plain(values: Any) -> dict[str, Any]:
    """Leave arrays out of an answer."""
    return {key: value for key, value in values.items() if not isinstance(value, np.ndarray)}


def mistaken(answer: NDArray[Any], score: NDArray[Any], target: NDArray[Any], classes: int) -> Sequence[float]:
    """Give, per sample of a batch, how sure a wrong answer was; -1 for a right one or what is no probability."""
    if target.ndim != 1 or answer.shape != (len(target), classes):
        return [-1.0] * len(target)
    said = (score if score.shape == answer.shape else answer).argmax(1)
    sure = answer[np.arange(len(target)), said]
    return [float(x) for x in np.where(said == target, -1.0, sure)]
