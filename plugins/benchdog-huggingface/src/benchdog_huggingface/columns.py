"""Choosing a data set's columns: what is learned from, and what is predicted."""

from __future__ import annotations

import unicodedata
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from benchdog.api import BadUsage, nearest
from benchdog_huggingface.options import DataOptions

USUAL = ("label", "labels", "target", "class")
"""Names of a column to predict, the likeliest first."""
BOOLEANS = {"false": False, "true": True}
"""What a text must be, in any case, to be a column's true or false."""
TEXTS = ("string", "large_string", "string_view")
WHOLE_NUMBERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
NUMBERS = (*WHOLE_NUMBERS, "float16", "float32", "float64", "bool")

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Chosen:
    """The inputs: kind is image, text or table; `left_out` are the other columns, by reason."""

    kind: str
    inputs: tuple[str, ...]
    target: str
    left_out: Mapping[str, Sequence[str]] = field(default_factory=dict)


def kind_of(feature: Any) -> str:
    """Return what a column holds: class, text, number, image, or "" for what isn't read."""
    name, dtype = type(feature).__name__, getattr(feature, "dtype", "")
    if name == "ClassLabel":
        return "class"
    if name == "Image":
        return "image"
    if name != "Value":
        return ""
    return "text" if dtype in TEXTS else "number" if dtype in NUMBERS or dtype.startswith("decimal") else ""


def choose(features: Mapping[str, Any], options: DataOptions) -> Chosen:
    """Decide which columns are input and target.

    Raises:
        BadUsage: a column that doesn't exist or can't be used, or several that could be meant.
    """
    kinds = {name: kind_of(feature) for name, feature in features.items()}
    named = (options.input,) if isinstance(options.input, str) else options.input
    named = tuple(name for name in named if name)
    for key, name in (("target", options.target), *(("input", name) for name in named)):
        if name and name not in kinds:
            raise BadUsage(f"The data has no column {name!r} (source.{key}).", nearest(name, kinds))
    target = options.target or _target(kinds, named)
    if kinds[target] in ("", "image"):
        raise BadUsage(f"The column {target!r} can't be predicted: it is {features[target]!r}.", _choice(kinds))
    for name in named:
        if name == target:
            raise BadUsage(f"The column {name!r} can't be both input and target.", "Name two.")
        if not kinds[name]:
            raise BadUsage(f"The column {name!r} can't be read: it is {features[name]!r}.", _choice(kinds))
    others = named or tuple(name for name in kinds if name != target and name not in options.drop)
    chosen = _inputs(kinds, others, target, bool(named), options)
    rest = [name for name in others if name not in chosen.inputs]
    empty = [name for name in rest if getattr(features[name], "dtype", "") == "null"]
    left_out = {
        "Columns without a value, left out": empty,
        "Columns of other types, left out": [name for name in rest if not kinds[name] and name not in empty],
        f"Columns that aren't used next to the {chosen.kind}": [name for name in rest if kinds[name]],
    }
    return replace(chosen, left_out=left_out)


def _target(kinds: Mapping[str, str], taken: Sequence[str]) -> str:
    labels = [name for name, kind in kinds.items() if kind == "class" and name not in taken]
    usual = usual_target([name for name in kinds if name not in taken])
    if len(labels) == 1:
        return labels[0]
    if usual and (not labels or usual in labels):
        return usual
    raise BadUsage("Which column is to be predicted?", f"Say it: --set source.target=NAME. {_choice(kinds)}")


def usual_target(names: Container[str]) -> str:
    """Return the column most likely to be the target, by its name; "" for none."""
    return next((name for name in USUAL if name in names), "")


def _inputs(
    kinds: Mapping[str, str], others: Sequence[str], target: str, named: bool, options: DataOptions
) -> Chosen:
    """Take the image, else the text, else all columns as a table."""
    of = {kind: [name for name in others if kinds[name] == kind] for kind in ("image", "text", "number", "class")}
    if of["image"] and (not named or len(others) > 1) and (len(of["image"]) > 1 or (named and len(others) > 1)):
        raise BadUsage("A model takes one image.", f"Say which: --set source.input=NAME. {_choice(kinds)}")
    if of["image"]:
        return Chosen(kind="image", inputs=(of["image"][0],), target=target)
    table = [*of["number"], *of["class"]]
    texts = of["text"]
    if len(texts) == 1 and (options.tokenizer is not None or not table or (named and len(others) == 1)):
        return Chosen(kind="text", inputs=(texts[0],), target=target)
    if texts and options.tokenizer is not None:
        raise BadUsage("A model takes one text.", f"Say which: --set source.input=NAME. {_choice(kinds)}")
    usable = tuple(name for name in others if kinds[name])
    if not usable:
        raise BadUsage("There is no feature column.", _choice(kinds))
    return Chosen(kind="table", inputs=usable, target=target)


def _choice(kinds: Mapping[str, str]) -> str:
    return "Available: " + ", ".join(f"{name} ({kind or 'of another type'})" for name, kind in kinds.items()) + "."


def pylist(split: Any, name: str) -> list[Any]:
    """Return a column's values as Python's."""
    return list(arrow_column(split, name).to_pylist())


def arrow_column(split: Any, name: str) -> Any:
    """Return a column as Arrow's chunked array."""
    return split.select_columns([name]).with_format("arrow")[:].column(name)


def same_name(name: str) -> str:
    """Return a class name in the spelling by which names are compared."""
    return unicodedata.normalize("NFC", name.strip())
