"""What artifact.json, export.json and model.json must say: each type, and that the parts fit each other."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchdog.api import Preprocess, Spec
from benchdog.data.decode.decoder import Decoder
from benchdog.errors import BadData, BenchdogError
from benchdog.model import training_ranges

PER_CLASS = ("classification", "multi-label", "segmentation")
"""Benchdog's own tasks whose score has one entry per class on its first axis."""
DEPTH = 64
FAULTS = (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError, IndexError, BenchdogError)


def check(path: Path, meta: Any, *keys: str) -> None:
    """Check what a description says.

    Args:
        path: the file that it comes from, for messages.
        keys: what it must have.

    Raises:
        BadData: it lacks something, or has it in another form; names the file.
    """
    try:
        _want(isinstance(meta, dict), "it is no table")
        _depth(meta, DEPTH)
        json.dumps(meta, ensure_ascii=False).encode()  # half a character can't be printed
        for key in keys:
            meta[key]
        _components(meta)
        _data(meta)
        _rest(meta)
    except FAULTS as error:
        said = error.message.rstrip(".") if isinstance(error, BenchdogError) else _said(error)
        raise BadData(f"{path} is incomplete: {said[:300]}.", "The file is damaged: make the folder again.") from None


def check_score(score: np.ndarray, spec: Spec) -> None:
    """Check that a score (B, ...) has the shape that was described; BadData when it hasn't."""
    got = score.shape[1:]
    if len(got) != len(spec.output) or any(n not in (None, m) for n, m in zip(spec.output, got, strict=True)):
        raise BadData(f"The model gives scores of shape {got}; its description says {spec.output}.", "It is damaged.")


def _want(ok: object, fault: str) -> None:
    if not ok:
        raise ValueError(fault)


def _said(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"it lacks {error}"
    return " ".join(str(error).split()) or type(error).__name__


def _depth(value: Any, left: int) -> None:
    """Refuse what is nested so deep that comparing or copying it would fail."""
    _want(left, "it is nested too deep")
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _depth(item, left - 1)


def _components(meta: dict[str, Any]) -> None:
    for kind in ("task", "model"):
        if kind == "model" and kind not in meta:
            continue
        table = meta[kind]
        ok = isinstance(table["name"], str) and isinstance(table["options"], dict)
        _want(ok, f"{kind} has no name or options")
        _plugin(table.get("plugin"), kind)
    _plugin(meta.get("plugin"), "the exporter")
    graph = "graph.pt2" in meta.get("files", {})
    # An export's files are its exporter's; an artifact runs by its runner, its graph or its model.
    _want(meta.get("kind") == "export" or "model" in meta or meta.get("runner") or graph, "it lacks 'model'")


def _plugin(plugin: Any, owner: str) -> None:
    ok = plugin is None or (isinstance(plugin, dict) and all(isinstance(v, str | None) for v in plugin.values()))
    _want(ok, f"the plugin of {owner} is no table of texts")


def _data(meta: dict[str, Any]) -> None:
    """Check spec and preprocess, and that they fit each other and the score."""
    spec = Spec.from_json(meta["spec"])
    _want(spec.fields, "the spec has no field")
    for field in spec.fields:
        _texts(f"field {field.name!r}", field.kind, field.name, field.dtype)
        _shape(f"field {field.name!r}", field.shape)
        _want(np.dtype(field.dtype).kind in "biuf", f"field {field.name!r} has the dtype {field.dtype!r}")
        _range(field.range, field.name)
        for column in field.columns:
            _texts("a column", column.name, column.kind, *_tuple("categories", column.categories))
    target = spec.target
    _texts("the target", target.kind, target.name, target.dtype, *_tuple("classes", target.classes))
    _want(np.dtype(target.dtype).kind in "biuf", f"the target has the dtype {target.dtype!r}")
    _shape("the target", target.shape)
    _shape("the score", spec.output)
    if target.kind in ("class", "labels", "mask") and meta["task"]["name"] in PER_CLASS:
        _want(spec.outputs == spec.classes, f"{spec.classes} classes, but {spec.outputs} scores")
    preprocess = meta["preprocess"]
    for part in ("decode", "transform"):
        for name, ops in preprocess[part].items():
            ok = isinstance(ops, list) and all(isinstance(op, dict) and isinstance(op.get("op"), str) for op in ops)
            _want(ok, f"preprocess.{part} of {name!r} is no list of operations")
            _want(name in [field.name for field in spec.fields], f"preprocess.{part} names no field {name!r}")
    Decoder(spec, Preprocess(decode=preprocess["decode"], transform=preprocess["transform"]))


def _texts(owner: str, *values: Any) -> None:
    _want(all(isinstance(value, str) for value in values), f"{owner} has something for a text that is none")


def _tuple(what: str, value: Any) -> tuple[Any, ...]:
    _want(isinstance(value, tuple), f"{what} is no list")
    return tuple(value)


def _shape(owner: str, shape: Any) -> None:
    ok = isinstance(shape, tuple) and all(n is None or (type(n) is int and 0 <= n < 2**31) for n in shape)
    _want(ok, f"the shape of {owner} is no list of lengths")
    _want(math.prod(n or 1 for n in shape) < 2**40, f"the shape of {owner} is beyond all memory")


def _range(bounds: Any, name: str) -> None:
    ok = bounds is None or (len(bounds) == 2 and all(type(x) in (int, float) and math.isfinite(x) for x in bounds))
    _want(ok, f"the range of field {name!r} is no pair of numbers")


def _rest(meta: dict[str, Any]) -> None:
    size, listed = meta.get("max_batch", 1), meta.get("files", {})
    _want(type(size) is int and 0 < size < 2**31, "max_batch is out of order")
    ok = isinstance(listed, dict) and all(isinstance(digest, str) for digest in listed.values())
    _want(ok, "files is no table of hashes")
    if meta.get("kind") == "export":
        _texts("exporter", meta["exporter"])
    _want(isinstance(meta.get("runner"), str | None), "runner is no text")
    _want(isinstance(meta.get("metrics", {}), Mapping), "metrics is no table")
    _want(meta.get("ranges") is None or training_ranges.sound(meta["ranges"]), "ranges is no table of ranges")
    recipe = meta.get("recipe", {})
    _want(isinstance(recipe, dict) and isinstance(recipe.get("plugins", []), list), "recipe is no table")
    _texts("recipe.plugins", *recipe.get("plugins", []))
