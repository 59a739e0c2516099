"""Request bodies: files of a form, JSON, or the bytes of one sample -> raw samples."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from benchdog import LoadedModel, read_samples
from benchdog.api import BadData, Field, Raw, json_text, nearest
from benchdog_serve.encodings import text_of
from benchdog_serve.errors import LONG, Rejected, shown
from benchdog_serve.json_body import decode_base64, parse

JSON = "application/json"
FORM = "multipart/form-data"
BYTES = "application/octet-stream"
TEXT = "text/plain"
TABLES = {"text/csv": ".csv", "text/tab-separated-values": ".tsv"}
"""Suffix of a table's file, by content type."""
KEYS = {"row": ("rows", "instances"), "tokens": ("text",), "text": ("text",)}
"""Keys of the JSON document where it isn't {"instances": [...]}; the first is its own."""
WAYS = ("image", "array", "row", "tokens")
"""The decode operations of Benchdog's own."""
SHOWN = 8
SMALL = 64
"""Numbers of an array that an example spells out."""


class BodyReader:
    """Parses request bodies for the inputs of a model.

    Attributes:
        way: "image", "array", "row" or "tokens": what the only input is; for a plugin's decode operation "file",
            "text" or "row", which it takes; "several" when there are more inputs.
        types: the content types that /predict takes.
        images: the inputs that are image files.
        largest: most samples of a request.
    """

    def __init__(self, model: LoadedModel, largest: int) -> None:
        self.spec, self.decoder, self.largest = model.spec, model.decoder, largest
        self.infos = model.decoder.first
        self.first = {name: model.preprocess.decode[name][0] for name in self.infos}
        self.name = self.spec.fields[0].name
        op, info = self.first[self.name], self.infos[self.name]
        way = str(op["op"]) if op["op"] in WAYS else {"bytes": "file"}.get(info.takes, info.takes)
        self.way = way if len(self.first) == 1 else "several"
        self.images = [name for name, op in self.first.items() if op["op"] == "image"]
        self.keys = KEYS.get(self.way, ("instances",))
        self.types = _types(self.way, info.media_types)

    def body_kind(self, content_type: str) -> str:
        """Return the kind of body that a content type stands for; Rejected (415) when the model doesn't take it."""
        word = content_type.partition(";")[0].strip().lower()
        if word == FORM and FORM in self.types:
            return FORM
        if word == JSON or word.endswith("+json"):
            return JSON
        if BYTES in self.types and (
            word == BYTES or any(fnmatchcase(word, kind) for kind in self.infos[self.name].media_types)
        ):
            return BYTES
        if word in (TEXT, *TABLES) and word in self.types:
            return word
        raise Rejected(
            415,
            f"The content type is {shown(word)}." if word else "The request names no content type.",
            f"This model takes {', '.join(self.types)}.",
        )

    def from_body(self, kind: str, body: bytes, content_type: str) -> list[Raw]:
        """Parse a body that isn't a form."""
        if not body or body.isspace():
            raise Rejected(400, "The body is empty.", self.hint())
        if kind == JSON:
            return self.from_json(body, content_type)
        if kind == BYTES:
            return [Raw(id="the body", fields={self.name: body})]
        if kind in TABLES:
            return self.from_table(body, TABLES[kind])
        return [Raw(id="the body", fields={self.name: text_of(body, content_type)})]

    # --- JSON

    def from_json(self, body: bytes, content_type: str) -> list[Raw]:
        """Parse {"rows": [{...}]}, {"instances": [...]} or {"text": ...}, whichever fits the model."""
        data = parse(body, content_type, self.hint())
        if not isinstance(data, dict):
            raise Rejected(422, "The body is not a JSON object.", self.hint())
        for key in data:
            if key not in self.keys:
                raise Rejected(422, f"The body has an unknown key {shown(key)}.", self.hint())
        if len(data) != 1:
            raise Rejected(422, f"The body needs one key: {' or '.join(self.keys)}.", self.hint())
        ((key, values),) = data.items()
        if key == "text" and isinstance(values, str):
            values = [values]
        if not isinstance(values, list):
            raise Rejected(422, f"{key!r} is not a list.", self.hint())
        if not values:
            raise Rejected(422, f"{key!r} is empty.", self.hint())
        self.count(len(values))
        word = {"rows": "row", "text": "text"}.get(key, "instance")
        return [self._instance(f"{word} {n}", value) for n, value in enumerate(values, 1)]

    def _instance(self, name: str, value: Any) -> Raw:
        if self.way != "several":
            return Raw(id=name, fields={self.name: self._value(self.name, name, value)})
        if not isinstance(value, dict):
            raise Rejected(422, f"{name} is not an object with the fields {_some(self.first)}.", self.hint())
        _columns(name, "field", value, list(self.first))
        return Raw(id=name, fields={field: self._value(field, name, value[field]) for field in self.first})

    def _value(self, field: str, name: str, value: Any) -> Any:
        """Convert a JSON value to what the field's decode operation takes."""
        op, takes = self.first[field], self.infos[field].takes
        if takes == "row":
            if not isinstance(value, dict):
                raise Rejected(422, f"{name} is not an object of columns.", self.hint())
            _columns(name, "column", value, [column["name"] for column in op["columns"]])
            for column, cell in value.items():
                if isinstance(cell, list | dict):
                    what = f"{name}: column {shown(column)} is neither a number nor a text."
                    raise Rejected(422, what, self.hint())
            return value
        if takes == "bytes" and isinstance(value, dict):
            return _file(name, value)
        if takes == "bytes" and isinstance(value, str):
            if not value.startswith("data:"):
                raise Rejected(422, f"{name} is a text.", 'Send base64 as {"b64": "..."}, or a data: URL.')
            return decode_base64(name, value)
        if takes == "bytes" and op["op"] not in WAYS:
            raise Rejected(422, f"{name} is not a file.", 'Send its bytes in base64 as {"b64": "..."}.')
        return _pixels(name, value) if op["op"] == "image" else value

    # --- files

    def from_table(self, body: bytes, suffix: str) -> list[Raw]:
        """Read a table as `predict` reads one: from a file."""
        with tempfile.TemporaryDirectory(prefix="benchdog-") as folder:
            path = Path(folder, f"table{suffix}")
            path.write_bytes(body)

            def named(text: str) -> str:
                return text.replace(f"{path}: ", "The table: ", 1).replace(f"{path}:", "line ", 1)

            try:
                rows = read_samples(str(path), self.decoder)
                raws = [replace(raw, id=named(raw.id)) for raw in islice(rows, self.largest + 1)]
            except BadData as error:
                raise Rejected(422, named(error.message), self.hint()) from None
        self.count(len(raws))
        return raws

    def from_files(self, files: Sequence[tuple[str, str, bytes]]) -> list[Raw]:
        """Read a form's files, (part, file name, content): each a sample, or an input of the only one."""
        if not files:
            raise Rejected(400, "The form has no file.", self.hint())
        self.count(len(files))
        for part, name, content in files:
            if not content:
                raise Rejected(422, f"{_id(name or part)} is empty.", "Send the file itself.")
        if self.way != "several":
            return [Raw(id=_id(name or part), fields={self.name: content}) for part, name, content in files]
        parts = {part: content for part, _, content in files}
        if len(parts) < len(files):
            raise Rejected(422, "The form has two files for one input.", self.hint())
        _columns("the form", "field", parts, list(self.first))
        return [Raw(id="the form", fields=parts)]

    def count(self, samples: int) -> None:
        """Raise Rejected (413) for more samples than a request may have."""
        if samples > self.largest:
            what = f"{samples} samples are more than the {self.largest} that a request may have."
            raise Rejected(413, what, "Send several requests.")

    def hint(self) -> str:
        """Return what to send, for error documents."""
        example = json_text(self.example())
        shown = example if len(example) <= 300 else example[:299] + "…"
        called = {"image": "image files", "file": self.infos[self.name].called}.get(self.way)
        files = f"Send {called} as a form, the bytes of one, or " if called else "Send "
        return f"{files}{shown}"

    def example(self) -> dict[str, Any]:
        """Return a document that /predict takes; files are only hinted at."""
        instance = {
            field.name: _example(field, self.first[field.name], self.infos[field.name].takes)
            for field in self.spec.fields
        }
        if self.way in ("tokens", "text"):
            return {"text": instance[self.name]}
        return {self.keys[0]: [instance if self.way == "several" else instance[self.name]]}


def _types(way: str, media_types: Sequence[str]) -> tuple[str, ...]:
    if way in ("image", "array", "file"):
        return (FORM, *media_types, BYTES, JSON)
    known = {"row": (JSON, *TABLES), "tokens": (JSON, TEXT, *TABLES), "text": (JSON, TEXT, *TABLES)}
    return known.get(way, (FORM, JSON))


def _columns(name: str, word: str, given: Mapping[str, Any], known: Sequence[str]) -> None:
    """Raise Rejected (422) for missing or unknown names, listing them all."""
    missing = [each for each in known if each not in given]
    expected = set(known)
    unknown = [each for each in given if each not in expected]
    if not missing and not unknown:
        return
    faults = [f"lacks the {word}{'s' * (len(missing) > 1)} {_some(missing)}"] if missing else []
    faults += [f"has the unknown {word}{'s' * (len(unknown) > 1)} {_some(unknown)}"] if unknown else []
    hint = nearest(unknown[0][:LONG], missing or known) if unknown else "A missing value is null."
    raise Rejected(422, f"{name} {' and '.join(faults)}.", hint)


def _id(name: str) -> str:
    """Shorten a file's name for messages."""
    return name if len(name) <= LONG else f"{name[:LONG]}…"


def _some(names: Mapping[str, Any] | Sequence[str]) -> str:
    few = ", ".join(shown(name) for name in islice(names, SHOWN))
    return few if len(names) <= SHOWN else f"{few} and {len(names) - SHOWN} more"


def _file(name: str, value: Mapping[str, Any]) -> bytes:
    """Decode {"b64": "..."}: the bytes of a file in JSON."""
    text = value.get("b64")
    if list(value) != ["b64"] or not isinstance(text, str):
        raise Rejected(422, f'{name} is not {{"b64": "..."}} with base64 in it.', "Or send numbers.")
    return decode_base64(name, text)


def _pixels(name: str, value: Any) -> np.ndarray[Any, np.dtype[Any]]:
    """Convert nested lists of integers 0 to 255, (C, H, W) or for grayscale (H, W), to an image."""
    try:
        array = np.asarray(value)
    except ValueError:
        array = np.asarray(None)
    if array.dtype.kind not in "iu" or not array.size or array.min() < 0 or array.max() > 255:
        what = f"{name} is not nested lists of integers from 0 to 255."
        raise Rejected(422, what, "Or send image files.")
    return array.astype(np.uint8)


def _example(field: Field, op: Mapping[str, Any], takes: str) -> Any:
    if takes == "row":
        return {c["name"]: c["categories"][0] if c.get("categories") else 0 for c in op["columns"]}
    if op["op"] == "tokens":
        # Bytes, and pairs of them, write every text.
        vocabulary = op.get("vocabulary") or "The "
        return "The " if set("The ") <= set(vocabulary) else "".join(vocabulary[:4])
    if takes == "text":
        return "The "
    if op["op"] != "array" or None in field.shape or math.prod(axis or 0 for axis in field.shape) > SMALL:
        return {"b64": "..."}
    return np.zeros([axis or 0 for axis in field.shape], field.dtype).tolist()
