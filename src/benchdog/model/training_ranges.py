"""Ranges of the training data, and out-of-distribution inputs: the parts of a sample outside of them.

NumPy and Pillow, no torch: predict and serve compare without it.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchdog.api import Field, MissingWords, Preprocess, Raw, Spec
from benchdog.data.decode.row import cell_text, plain_cell

Array = NDArray[Any]
Ranges = dict[str, Any]
"""{"samples": how many were looked at, "fields": {name: what `_table` or `_picture` gives}}."""

ROWS, PICTURES = 100_000, 500
"""The most samples that are looked at, spread evenly over the training split: rows are quick, images aren't."""
PIECE = 512


def places(spec: Spec, samples: int) -> list[int]:
    """Choose the positions to look at."""
    most = ROWS if all(field.kind == "table" for field in spec.fields) else PICTURES
    count = min(most, samples)
    return [i * samples // count for i in range(count)]


class Measure:
    """Gathers decoded samples, and the raw ones of images, and gives their ranges."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.samples = 0
        self._rows: dict[str, list[Array]] = {f.name: [] for f in spec.fields if f.kind == "table" and f.columns}
        self._bright: dict[str, list[float]] = {f.name: [] for f in spec.fields if f.kind in ("image", "volume")}
        self._sides: dict[str, list[tuple[int, int]]] = {f.name: [] for f in spec.fields if f.kind == "image"}

    def add(self, inputs: Sequence[Array], raws: Sequence[Raw] = ()) -> None:
        """Take in a batch (B, ...) per field, and the same samples undecoded where there are images."""
        self.samples += len(inputs[0])
        for field, x in zip(self.spec.fields, inputs, strict=True):
            if field.name in self._rows:
                self._rows[field.name].append(np.array(x, np.float32))
            if field.name in self._bright:
                self._bright[field.name] += [brightness(each, field) for each in x]
            if field.name in self._sides:
                found = [sides(raw.fields[field.name]) for raw in raws]
                self._sides[field.name] += [pair for pair in found if pair is not None]

    def ranges(self) -> Ranges:
        """Return what was seen, in JSON form."""
        fields: dict[str, Any] = {}
        for field in self.spec.fields if self.samples else ():
            if field.name in self._rows:
                fields[field.name] = {"columns": _table(np.concatenate(self._rows[field.name]), field)}
            if field.name in self._bright:
                fields[field.name] = _picture(self._bright[field.name], self._sides.get(field.name, []))
        return {"samples": self.samples, "fields": fields}


def outside(
    fields: Mapping[str, Any], arrays: Sequence[Array], spec: Spec, how: Preprocess, seen: Ranges
) -> list[Any]:
    """Return which parts of a sample are outside what was seen in training: [{"field", "said"}], [] if none does.

    Args:
        fields: the sample's raw values by field; may be empty, then less can be said.
        arrays: it decoded, without a batch axis.
        how: the model's preprocess; its decode says which texts mean a missing cell.
        seen: what `Measure.ranges` gave.
    """
    found: list[dict[str, str]] = []
    for field, x in zip(spec.fields, arrays, strict=True):
        stats = seen.get("fields", {}).get(field.name, {})
        raw = fields.get(field.name)
        if "columns" in stats and field.columns:
            ops = how.decode.get(field.name) or ({},)
            gone = MissingWords(map(str, ops[0].get("missing", ("",))))
            found += _row(x, field, raw if isinstance(raw, Mapping) else {}, stats["columns"], gone)
        elif "brightness" in stats:
            found += _pixels(x, field, raw, stats)
    return found


def sound(ranges: Any) -> bool:
    """Return whether ranges from a file have the form that `outside` reads."""
    try:
        for stats in ranges["fields"].values():
            for line in stats.get("columns", {}).values():
                ok = isinstance(line["missing"], bool) and isinstance(line.get("seen", []), list)
                if not ok or ("low" in line and not _numbers(line["low"], line["high"])):
                    return False
            if "brightness" in stats and not (
                _numbers(*(stats["brightness"][key] for key in ("low", "high", "deviation")))
                and all(
                    pair is None or (len(pair) == 2 and _numbers(*pair))
                    for pair in (stats["shorter"], stats["longer"])
                )
            ):
                return False
        return _numbers(ranges["samples"])
    except (KeyError, TypeError, AttributeError):
        return False


def _numbers(*values: Any) -> bool:
    return all(type(value) in (int, float) and math.isfinite(value) for value in values)


# --- tables ----------------------------------------------------------------------------------------


def _table(rows: Array, field: Field) -> dict[str, Any]:
    """Describe columns: numbers by low, high, q01, q99; categories by those seen; and whether some were missing."""
    stats: dict[str, Any] = {}
    for i, column in enumerate(field.columns):
        values = rows[:, i]
        if column.kind == "number":
            known = values[~np.isnan(values)]
            stats[column.name] = {"missing": len(known) < len(values)}
            if len(known):
                low, q01, q99, high = np.quantile(known, [0, 0.01, 0.99, 1])
                stats[column.name] |= {
                    "low": _float(low),
                    "high": _float(high),
                    "q01": _float(q01),
                    "q99": _float(q99),
                }
        else:
            codes = np.unique(values.astype(np.int64))
            seen = [column.categories[code - 1] for code in codes if 0 < code <= len(column.categories)]
            stats[column.name] = {"missing": 0 in codes, "seen": seen}
    return stats


def _row(x: Array, field: Field, raw: Mapping[str, Any], seen: Mapping[str, Any], gone: MissingWords) -> list[Any]:
    found = []
    for value, column in zip(x, field.columns, strict=True):
        line = seen.get(column.name)
        if line is None:
            continue
        said = ""
        cell = plain_cell(raw.get(column.name))
        lacking = cell is None or cell in gone
        if column.kind == "number":
            if math.isnan(value):
                said = "" if line["missing"] else f"{column.name} is missing, which it never was in training"
            elif "low" in line:
                said = beyond(column.name, float(value), line["low"], line["high"])
        elif value == 0 and (lacking or column.name not in raw):
            said = "" if line["missing"] else f"{column.name!r} is missing, which it never was in training"
        elif value == 0:
            said = f"category {cell_text(cell)!r} of {column.name!r} was never seen"
        elif column.categories[int(value) - 1] not in line.get("seen", column.categories):
            said = f"category {column.categories[int(value) - 1]!r} of {column.name!r} was never seen"
        if said:
            found.append({"field": column.name, "said": said})
    return found


def beyond(name: str, value: float, low: float, high: float) -> str:
    """Return a sentence on a number outside a range; "" when it is inside."""
    given, least, most = np.float32(value), np.float32(low), np.float32(high)  # as the model gets it
    if least <= given <= most:
        return ""
    side, edge = ("above", high) if given > most else ("below", low)
    return f"{name} {_shown(value)} is {side} the {_shown(edge)} seen in training"


def _float(value: Any) -> float:
    """Return a float32's value as a person wrote it: 14.2, not 14.199999809."""
    return float(str(np.float32(value)))


def _shown(value: float) -> str:
    return str(np.float32(value)).removesuffix(".0")


# --- images --------------------------------------------------------------------------------------


def brightness(x: Array, field: Field) -> float:
    """Return the mean of a image's values, as a share of what its type or range can hold."""
    low, high = field.range or ((0, np.iinfo(x.dtype).max) if x.dtype.kind in "iu" else (0.0, 1.0))
    return (float(x.mean(dtype=np.float64)) - low) / ((high - low) or 1) if x.size else 0.0


def sides(raw: Any) -> tuple[int, int] | None:
    """Return a raw image's shorter and longer side in pixels, before it was brought to the model's size."""
    if isinstance(raw, np.ndarray):
        return (min(raw.shape[-2:]), max(raw.shape[-2:])) if raw.ndim in (2, 3) else None
    if not isinstance(raw, bytes | bytearray | memoryview):
        return None
    try:
        with Image.open(io.BytesIO(bytes(raw))) as picture:
            return min(picture.size), max(picture.size)
    except Exception:  # no image at all: decoding says so
        return None


def _picture(bright: list[float], pairs: list[tuple[int, int]]) -> dict[str, Any]:
    values = np.array(bright)
    figures = {"mean": values.mean(), "deviation": values.std(), "low": values.min(), "high": values.max()}
    spans: list[Any] = [[min(side), max(side)] for side in zip(*pairs, strict=True)] or [None, None]
    return {
        "brightness": {key: round(float(value), 6) for key, value in figures.items()},
        "shorter": spans[0],
        "longer": spans[1],
    }


def _pixels(x: Array, field: Field, raw: Any, stats: Mapping[str, Any]) -> list[Any]:
    found = []
    light = stats["brightness"]
    slack = light["deviation"] / 2  # the images that were looked at needn't hold the very darkest
    value = brightness(x, field)
    if not light["low"] - slack <= value <= light["high"] + slack:
        where, edge = ("above", light["high"]) if value > light["high"] else ("below", light["low"])
        said = f"brightness {value:.3g} is {where} the {edge:.3g} seen in training"
        found.append({"field": field.name, "said": said})
    sized = field.kind == "image" and stats["shorter"] and stats["longer"]
    pair = sides(raw) if sized and not isinstance(raw, np.ndarray) else None  # an array has the model's size already
    if pair is None:
        return found
    for name, side, (low, high) in zip(("shorter", "longer"), pair, (stats["shorter"], stats["longer"]), strict=True):
        if low <= side <= high:
            continue
        where, edge = ("above", high) if side > high else ("below", low)
        said = f"its {name} side of {side} pixels is {where} the {edge} seen in training"
        found.append({"field": field.name, "said": said})
    return found
