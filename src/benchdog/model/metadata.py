"""Validation of artifact.json, export.json and model.json: types, and that the parts fit each other."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from benchdog.api import Preprocess, Spec
from benchdog.data.decode.decoder import build_chain
from benchdog.errors import BadData, BenchdogError
from benchdog.model import training_ranges
from benchdog.plugins import Plugins

TARGETS = {
    "classification": "class",
    "ordinal": "class",
    "embedding": "class",
    "multi-label": "labels",
    "segmentation": "mask",
    "image-to-image": "image",
    "regression": "number",
    "next-token": "next-token",
}
"""Benchdog's own tasks, and the kind of target that each is for."""
PER_CLASS = ("classification", "multi-label", "segmentation")
"""Those whose score has one entry per class on its first axis."""
FAULTS = (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError, IndexError, BenchdogError)

Origin = dict[str, str | None]
"""The plugin that a component came from."""


class _Model(BaseModel):
    model_config = ConfigDict(strict=True)


class _Component(_Model):
    name: str
    options: dict[str, Any]
    plugin: Origin | None = None


class _Output(_Model):
    """How a model's score is read (benchdog.model.outputs.Reading)."""

    model_config = ConfigDict(strict=True, extra="forbid")
    key: str
    form: Literal["score", "probabilities", "logit", "probability"]
    positive: Literal[0, 1]
    axes: Annotated[int, Field(ge=0, le=64)]


class _NetComponent(_Component):
    output: _Output | None = None


class _Recipe(_Model):
    plugins: list[str] = []


class _Description(_Model):
    task: _Component
    model: _NetComponent | None = None
    plugin: Origin | None = None
    decoders: dict[str, Origin] = {}
    spec: Spec
    model_spec: Spec | None = None
    preprocess: Preprocess
    max_batch: Annotated[int, Field(gt=0, lt=2**31)] = 1
    files: dict[str, str] = {}
    kind: str = ""
    exporter: str | None = None
    runner: str | None = None
    metrics: dict[str, Any] = {}
    ranges: Any = None
    recipe: _Recipe = _Recipe()

    @model_validator(mode="after")
    def _runnable(self) -> Self:
        """Check that something runs it: an export's exporter, or an artifact's runner, graph or model."""
        if self.kind == "export" and self.exporter is None:
            raise ValueError("missing 'exporter'")
        if not (self.kind == "export" or self.model or self.runner or "graph.pt2" in self.files):
            raise ValueError("missing 'model'")
        return self


def check(path: Path, meta: Any, *keys: str) -> None:
    """Validate a description.

    Args:
        path: the file that it comes from, for messages.
        keys: required, besides those that every description has.

    Raises:
        BadData: a key is missing or has a wrong type, or parts don't fit each other; names the file.
    """
    try:
        text = json.dumps(meta, ensure_ascii=False).encode()  # fails for half a character, which can't be printed
        description = _Description.model_validate_json(text)
        for key in keys:
            meta[key]
        for name in ("spec", "model_spec"):
            if meta.get(name) is not None or name == "spec":
                Spec.from_json(meta[name])  # refuses unknown and missing keys, which the model does not
        _check_data(description)
    except FAULTS as error:
        raise BadData(
            f"{path} is invalid: {_fault(error)[:300]}.", "The file is damaged: make the folder again."
        ) from None


def check_score(score: np.ndarray, spec: Spec) -> None:
    """Raise BadData unless a score (B, ...) has the shape that the spec describes."""
    got = score.shape[1:]
    if len(got) != len(spec.output) or any(n not in (None, m) for n, m in zip(spec.output, got, strict=True)):
        raise BadData(
            f"The model returns scores of shape {got}; its description has {spec.output}.", "It is damaged."
        )


def _fault(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        text = first["msg"].removeprefix("Value error, ")
        return f"missing {where!r}" if first["type"] == "missing" else f"{where}: {text}" if where else text
    if isinstance(error, KeyError):
        return f"missing {error}"
    text = error.message.rstrip(".") if isinstance(error, BenchdogError) else " ".join(str(error).split())
    return text or type(error).__name__


def _check_data(description: _Description) -> None:
    """Check what types don't express: that the parts are sound and fit each other."""
    spec, preprocess = description.spec, description.preprocess
    if description.ranges is not None and not training_ranges.sound(description.ranges):
        raise ValueError("ranges: not a table of ranges")
    model_spec = description.model_spec or spec
    _check_spec(spec)
    _check_spec(model_spec)
    _check_task(description.task.name.removeprefix("benchdog:"), model_spec)
    for part, described in ((preprocess.decode, spec), (preprocess.transform, model_spec)):
        if unknown := part.keys() - {field.name for field in described.fields}:
            raise ValueError(f"preprocess: no field {min(unknown)!r}")
        if not all(isinstance(op.get("op"), str) for ops in part.values() for op in ops):
            raise ValueError("preprocess: an operation without a name, 'op'")
    for field in spec.fields:
        ops = preprocess.decode.get(field.name, ())
        if not any(op["op"] in description.decoders for op in ops):  # a plugin's parameters are its own to check
            build_chain(field, ops, Plugins.builtin())


def _check_spec(spec: Spec) -> None:
    if not spec.fields:
        raise ValueError("spec: no fields")
    target = spec.target
    arrays = [(field.name, field.dtype, field.shape) for field in spec.fields]
    for name, dtype, shape in (*arrays, (target.name, target.dtype, target.shape)):
        if np.dtype(dtype).kind not in "biuf":
            raise ValueError(f"{name!r}: unknown dtype {dtype!r}")
        _check_shape(shape, name)
    _check_shape(spec.output, "the score")
    if not all(math.isfinite(bound) for field in spec.fields for bound in field.range or ()):
        raise ValueError("the range of a field isn't finite")


def _check_task(name: str, spec: Spec) -> None:
    """Check that one of Benchdog's own tasks fits the target and the score."""
    kind = TARGETS.get(name)
    if kind is None:
        return
    if spec.target.kind != kind:
        raise ValueError(f"the task {name!r} is for a target of the kind {kind!r}, not {spec.target.kind!r}")
    if kind not in ("number", "image") and not spec.target.classes and name != "embedding":
        raise ValueError(f"the task {name!r} needs classes")
    scores = spec.output[-1] if name == "next-token" and spec.output else spec.outputs
    if name in (*PER_CLASS, "next-token") and scores != spec.classes:
        raise ValueError(f"{spec.classes} classes, but {scores} scores")
    if any(field.kind == "tokens" and len(field.shape) != 1 for field in spec.fields):
        raise ValueError("a field of tokens has another shape than their number")


def _check_shape(shape: tuple[int | None, ...], name: str) -> None:
    lengths = [n or 0 for n in shape]
    if min(lengths, default=0) < 0 or math.prod(max(n, 1) for n in lengths) >= 2**40:
        raise ValueError(f"the shape {shape} of {name!r} is impossible")
