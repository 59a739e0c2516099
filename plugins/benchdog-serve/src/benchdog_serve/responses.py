"""JSON documents: answers, the description of the model, held-out samples."""

from __future__ import annotations

import base64
import io
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from benchdog import LoadedModel, ValueFiles, __version__
from benchdog.api import Answer, Raw, Spec, words
from benchdog_serve.errors import Rejected
from benchdog_serve.request_body import BYTES, BodyReader

Array = np.ndarray[Any, np.dtype[Any]]
MASK_COLORS = ("#e69f00", "#56b4e9", "#009e73", "#cc79a7", "#d55e00", "#0072b2", "#f0e442")
"""Colors of the mask classes 1, 2, ...: Okabe and Ito's palette, distinct for color-blind eyes too."""
TYPES = {
    b"\x89PNG": "image/png",
    b"\xff\xd8": "image/jpeg",
    b"GIF8": "image/gif",
    b"BM": "image/bmp",
    b"RIFF": "image/webp",
}


def answer(answer: Answer, files: ValueFiles) -> dict[str, Any]:
    """Convert an answer to JSON.

    A mask becomes a PNG in base64, a volume's mask a list of them; what the task says is an image, audio or of
    another kind becomes {"media_type", "base64"}; other arrays become lists.
    """
    return {key: _value(key, value, answer, files) for key, value in answer.values.items()}


def _value(key: str, value: Any, answer: Answer, files: ValueFiles) -> Any:
    if _is_mask(key, value):
        return mask_png(value)
    if isinstance(value, list | tuple):
        return [_value(key, each, answer, files) for each in value]
    if not isinstance(value, np.ndarray) or files.kind(key, value) in ("array", "mask") or files.as_list(key, value):
        return plain(value)
    encoded = files.encode(key, value, answer)
    told = {"media_type": encoded.media_type, "base64": base64.b64encode(encoded.data).decode("ascii")}
    return {**told, "note": encoded.refused} if encoded.refused else told


def requested_file(answers: Sequence[Answer], files: ValueFiles, accept: str) -> tuple[str, str] | None:
    """Return which value an Accept header asks for as a file, and its media type; None for JSON.

    Raises:
        Rejected: 406, there are several samples, or several such values.
    """
    for part in accept.split(","):
        media_type = part.partition(";")[0].strip().lower()
        if media_type in ("application/json", "*/*"):
            return None
        values = answers[0].values.items()
        names = [
            name
            for name, value in values
            if isinstance(value, np.ndarray) and media_type in files.media_types(name, value)
        ]
        if names and len(answers) == len(names) == 1:
            return names[0], media_type
        if names:
            raise Rejected(
                406,
                f"One {media_type} can't be the response for {len(answers)} samples with {', '.join(names)} each.",
                "Send one sample, or Accept: application/json.",
            )
    return None


def _is_mask(key: str, value: Any) -> bool:
    if key != "mask" or not isinstance(value, np.ndarray):
        return False
    return value.ndim in (2, 3) and value.dtype.kind in "ui"


def mask_png(codes: Array) -> str | list[str]:
    """Encode class codes, (H, W) or (D, H, W), as PNG: its pixels are the codes, its palette their colors."""
    if codes.ndim == 3:
        return [str(mask_png(part)) for part in codes]
    image = Image.fromarray(codes.astype(np.uint8))
    image.putpalette([part for code in range(256) for part in bytes.fromhex(color(code)[1:])])
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", transparency=0)
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def color(code: int) -> str:
    """Return the color of a class; class 0 is transparent."""
    return MASK_COLORS[(code - 1) % len(MASK_COLORS)] if code else "#000000"


def plain(value: Any) -> Any:
    """Convert a value to JSON: arrays to lists, NaN and infinities to null."""
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, str | int | bool) else str(value)


def about(model: LoadedModel, reader: BodyReader, examples: Sequence[Raw]) -> dict[str, Any]:
    """Describe the model: inputs, outputs, metrics, versions."""
    meta, spec = model.meta, model.spec
    return {
        "name": model.name,
        "kind": model.kind,
        "exporter": model.exporter or None,
        "task": model.task_name,
        "model": model.architecture or None,
        "created": meta.get("created") or meta.get("exported"),
        "parameters": meta.get("parameters"),
        "classes": list(spec.target.classes),
        "target": spec.target.name,
        "metrics": plain(meta.get("metrics") or {}),
        "test": test_metrics(model),
        "spec": spec.to_json(),
        "versions": {"serving": __version__, **(meta.get("versions") or {})},
        "input": {
            "way": reader.way,
            "name": reader.name,
            "types": list(reader.types),
            "called": ".npy files" if reader.way == "array" else reader.infos[reader.name].called,
            "suffix": next(iter(reader.infos[reader.name].suffixes), ""),
            "example": reader.example(),
            "columns": columns(reader, examples),
        },
        "colours": [color(code) for code in range(spec.classes)] if spec.target.kind == "mask" else [],
        "examples": [{"id": raw.id, "target": target_text(raw.target, spec)} for raw in examples],
    }


def test_metrics(model: LoadedModel) -> dict[str, Any]:
    """Return the metrics on the test split, if the model's folder is still in that of its evaluated run."""
    folder = model.path.resolve().parent
    folder = folder if model.kind == "artifact" else folder.parent
    try:
        metrics = json.loads((folder / "evaluation-test.json").read_text(encoding="utf-8"))["metrics"]
        numbers: dict[str, Any] = plain({key: each for key, each in metrics.items() if isinstance(each, int | float)})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
    return numbers


def columns(reader: BodyReader, examples: Sequence[Raw]) -> list[dict[str, Any]]:
    """List a table's columns, each with an initial value: that of the first held-out sample, if there is one."""
    if reader.way != "row":
        return []
    row = examples[0].fields[reader.name] if examples else {}
    return [
        {
            "name": column["name"],
            "kind": column.get("kind", "number"),
            "categories": list(column.get("categories", ())),
            "initial": plain(row.get(column["name"], _default_cell(column))),
        }
        for column in reader.first[reader.name]["columns"]
    ]


def _default_cell(column: Mapping[str, Any]) -> Any:
    return column["categories"][0] if column.get("categories") else 0


def target_text(target: Any, spec: Spec) -> str | None:
    """Format a sample's true target if it is one class or number; None for masks and texts."""
    value = np.asarray(target) if target is not None else None
    if value is None or value.ndim != 0:
        return None
    if spec.target.kind == "class" and value.dtype.kind in "iu" and 0 <= int(value) < spec.classes:
        return spec.target.classes[int(value)]
    return f"{float(value):.6g}" if value.dtype.kind in "iuf" else None


def example(raw: Raw, reader: BodyReader) -> tuple[bytes, str] | dict[str, Any]:
    """Return a held-out sample: a file with its content type, or the JSON document that /predict takes."""
    value = raw.fields[reader.name]
    if reader.way == "image" and isinstance(value, np.ndarray):
        buffer = io.BytesIO()
        array = value if value.ndim == 2 else value[0] if value.shape[0] == 1 else value.transpose(1, 2, 0)
        Image.fromarray(np.ascontiguousarray(array)).save(buffer, format="PNG")
        return buffer.getvalue(), "image/png"
    if isinstance(value, bytes):
        if reader.way == "file":
            kinds = reader.infos[reader.name].media_types
            return value, next((kind for kind in kinds if "*" not in kind), BYTES)
        return value, _image_type(value)
    if reader.way == "tokens" and not isinstance(value, str):
        spelled = words(reader.first[reader.name])
        value = b"".join(spelled[int(code)] for code in np.asarray(value).reshape(-1)).decode("utf-8", "replace")
    return {"text": value} if reader.way in ("tokens", "text") else {reader.keys[0]: [plain(value)]}


def _image_type(data: bytes) -> str:
    return next((kind for magic, kind in TYPES.items() if data.startswith(magic)), "application/octet-stream")
