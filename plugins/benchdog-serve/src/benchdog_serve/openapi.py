"""The OpenAPI description of /predict."""

from __future__ import annotations

from typing import Any

from benchdog_serve.request_body import FORM, JSON, TABLES, TEXT, BodyReader

ERROR = {
    "application/json": {
        "schema": {
            "type": "object",
            "properties": {
                "error": {
                    "type": "object",
                    "properties": {"message": {"type": "string"}, "hint": {"type": "string"}},
                    "required": ["message", "hint"],
                }
            },
            "required": ["error"],
        }
    }
}
ANSWERS = {
    "application/json": {
        "schema": {
            "type": "object",
            "properties": {"answers": {"type": "array", "items": {"type": "object"}}},
            "required": ["answers"],
        }
    }
}
DESCRIPTIONS = {
    400: "The body is empty or can't be parsed.",
    403: "A web page of another origin sends the request.",
    406: "The Accept header asks for one file, and there are several samples or values of that type.",
    408: "The body took too long to arrive.",
    413: "The body is too large, or holds too many samples or pixels.",
    415: "The content type, content encoding or charset isn't accepted.",
    422: "A sample can't be read; the message names it.",
    503: "Too many requests wait, or the server is stopping; Retry-After says when to retry.",
    504: "The model took too long.",
}
PREDICT: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "A prediction per sample, in the request's order; for Accept: image/png, say, and one "
        "sample, the file of its value of that media type.",
        "content": ANSWERS,
    },
    **{status: {"description": text, "content": ERROR} for status, text in DESCRIPTIONS.items()},
}


def predict_body(reader: BodyReader) -> dict[str, Any]:
    """Describe the bodies that /predict takes for a model."""
    return {"required": True, "content": {kind: _content(reader, kind) for kind in reader.types}}


def _content(reader: BodyReader, kind: str) -> dict[str, Any]:
    if kind == JSON:
        return {"schema": _document(reader), "example": reader.example()}
    if kind == TEXT:
        return {"schema": {"type": "string"}, "example": reader.example().get("text", "")}
    if kind in TABLES:
        return {"schema": {"type": "string"}}
    file = {"type": "string", "format": "binary"}
    if kind != FORM:
        return {"schema": file}
    if reader.way == "several":
        names = list(reader.first)
        return {"schema": {"type": "object", "properties": dict.fromkeys(names, file), "required": names}}
    return {"schema": {"type": "object", "properties": {"files": {"type": "array", "items": file}}}}


def _document(reader: BodyReader) -> dict[str, Any]:
    if reader.way in ("tokens", "text"):
        text = {"oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
        return _object({"text": text})
    items: dict[str, Any] = {}
    if reader.way == "row":
        row = reader.first[reader.name]
        items = _object({c["name"]: _cell(c, c["name"] in row.get("booleans", ())) for c in row["columns"]})
    samples = {"type": "array", "minItems": 1, "maxItems": reader.largest, "items": items}
    return _object({reader.keys[0]: samples})


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    required = list(properties)
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _cell(column: dict[str, Any], is_boolean: bool) -> dict[str, Any]:
    """Describe a cell; unknown categories are allowed, and null is a missing value."""
    if column.get("kind") == "category":
        return {"type": ["string", "number", "null"], "examples": list(column.get("categories", ()))[:20]}
    return {"type": ["number", "boolean", "null"] if is_boolean else ["number", "null"]}
