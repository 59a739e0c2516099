"""From answers and a model's description to JSON."""

from __future__ import annotations

import base64
import io
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from benchdog import __version__
from benchdog.api import Raw, Spec, words
from benchdog.evaluation.sample_images import MASK_COLORS
from benchdog.model.load import LoadedModel
from benchdog.system.paths import short_name
from benchdog_serve.reading import Reader

Array = np.ndarray[Any, np.dtype[Any]]
TYPES = {
    b"\x89PNG": "image/png",
    b"\xff\xd8": "image/jpeg",
    b"GIF8": "image/gif",
    b"BM": "image/bmp",
    b"RIFF": "image/webp",
}


def answer(values: Mapping[str, Any]) -> dict[str, Any]:
    """Write an answer: a mask becomes a PNG in base64, a volume's mask a list of them."""
    return {key: mask(value) if _is_mask(key, value) else plain(value) for key, value in values.items()}


def _is_mask(key: str, value: Any) -> bool:
    if key != "mask" or not isinstance(value, np.ndarray):
        return False
    return value.ndim in (2, 3) and value.dtype.kind in "ui"


def mask(codes: Array) -> str | list[str]:
    """Write class codes, (H, W) or (D, H, W), as PNG: its pixels are the codes, its palette colours them."""
    if codes.ndim == 3:
        return [str(mask(part)) for part in codes]
    picture = Image.fromarray(codes.astype(np.uint8))
    picture.putpalette([part for code in range(256) for part in bytes.fromhex(colour(code)[1:])])
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", transparency=0)
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def colour(code: int) -> str:
    """Give the colour of a class; class 0 is drawn transparent."""
    return MASK_COLORS[(code - 1) % len(MASK_COLORS)] if code else "#000000"


def plain(value: Any) -> Any:
    """Bring a value to JSON: arrays are lists, what is no number is null."""
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, str | int | bool) else str(value)


def name_of(opened: LoadedModel) -> str:
    """Give the name that people know a model by: its run's, else its folder's."""
    return str(opened.meta.get("run") or opened.path.resolve().name)


def about(opened: LoadedModel, reader: Reader, examples: Sequence[Raw]) -> dict[str, Any]:
    """Describe the model: what it takes, what it says, how good it was, what it was made with."""
    meta, spec = opened.meta, opened.spec
    return {
        "name": name_of(opened),
        "kind": opened.kind,
        "exporter": opened.exporter or None,
        "task": opened.task_name,
        "model": short_name(str((meta.get("model") or {}).get("name") or "")) or None,
        "created": meta.get("created") or meta.get("exported"),
        "parameters": meta.get("parameters"),
        "classes": list(spec.target.classes),
        "target": spec.target.name,
        "metrics": plain(meta.get("metrics") or {}),
        "test": tested(opened),
        "spec": spec.to_json(),
        "versions": {"serving": __version__, **(meta.get("versions") or {})},
        "input": {
            "way": reader.way,
            "name": reader.name,
            "types": list(reader.types),
            "example": reader.example(),
            "columns": columns(reader, examples),
        },
        "colours": [colour(code) for code in range(spec.classes)] if spec.target.kind == "mask" else [],
        "examples": [{"id": raw.id, "target": truth(raw.target, spec)} for raw in examples],
    }


def tested(opened: LoadedModel) -> dict[str, Any]:
    """Give the metrics on the test split, where the run's folder around the model holds them."""
    folder = opened.path.resolve().parent
    folder = folder if opened.kind == "artifact" else folder.parent
    try:
        metrics = json.loads((folder / "evaluation-test.json").read_text(encoding="utf-8"))["metrics"]
        found: dict[str, Any] = plain({key: each for key, each in metrics.items() if isinstance(each, int | float)})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
    return found


def columns(reader: Reader, examples: Sequence[Raw]) -> list[dict[str, Any]]:
    """List a table's columns with a plausible value each: that of a held-out sample, where there are any."""
    if reader.way != "row":
        return []
    row = examples[0].fields[reader.name] if examples else {}
    return [
        {
            "name": column["name"],
            "kind": column.get("kind", "number"),
            "categories": list(column.get("categories", ())),
            "initial": plain(row.get(column["name"], _usual(column))),
        }
        for column in reader.first[reader.name]["columns"]
    ]


def _usual(column: Mapping[str, Any]) -> Any:
    return column["categories"][0] if column.get("categories") else 0


def truth(target: Any, spec: Spec) -> str | None:
    """Write a sample's true target where it is one word or number; None for masks and texts."""
    value = np.asarray(target) if target is not None else None
    if value is None or value.ndim != 0:
        return None
    if spec.target.kind == "class" and value.dtype.kind in "iu" and 0 <= int(value) < spec.classes:
        return spec.target.classes[int(value)]
    return f"{float(value):.6g}" if value.dtype.kind in "iuf" else None


def example(raw: Raw, reader: Reader) -> tuple[bytes, str] | dict[str, Any]:
    """Give a held-out sample: an image file with its type, or the JSON document that /predict takes."""
    value = raw.fields[reader.name]
    if reader.way == "image" and isinstance(value, np.ndarray):
        buffer = io.BytesIO()
        array = value if value.ndim == 2 else value[0] if value.shape[0] == 1 else value.transpose(1, 2, 0)
        Image.fromarray(np.ascontiguousarray(array)).save(buffer, format="PNG")
        return buffer.getvalue(), "image/png"
    if isinstance(value, bytes):
        return value, _image_type(value)
    if reader.way == "tokens" and not isinstance(value, str):
        spelled = words(reader.first[reader.name])
        value = b"".join(spelled[int(code)] for code in np.asarray(value).reshape(-1)).decode("utf-8", "replace")
    return {"text": value} if reader.way == "tokens" else {reader.keys[0]: [plain(value)]}


def _image_type(data: bytes) -> str:
    return next((kind for magic, kind in TYPES.items() if data.startswith(magic)), "application/octet-stream")
