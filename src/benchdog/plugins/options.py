"""Validation of options: stdlib dataclasses with Annotated fields (Doc, Bounds), checked by pydantic."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from pydantic import Field, TypeAdapter, ValidationError

from benchdog.api import Bounds, Doc
from benchdog.errors import BadUsage, nearest

UNIONS = (Union, UnionType)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Option:
    """One option: name, type, documentation, default."""

    name: str
    type: Any
    doc: str
    default: Any
    required: bool
    adapter: TypeAdapter[Any]


@functools.lru_cache(maxsize=256)
def describe(cls: type) -> Mapping[str, Option]:
    """Return the options of a dataclass by name, in order.

    A command asks for the same few classes some forty times, and pydantic's adapters take milliseconds each.
    """
    hints = get_type_hints(cls, include_extras=True)
    result = {}
    for field in dataclasses.fields(cls):
        plain, notes = hints[field.name], list[Any]()
        if get_origin(plain) is Annotated:
            plain, *notes = get_args(plain)
        doc = next((n.text for n in notes if isinstance(n, Doc)), "")
        bounds = next((dataclasses.asdict(n) for n in notes if isinstance(n, Bounds)), {})
        limits = {k: v for k, v in bounds.items() if v is not None}
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        default: Any = None
        if field.default is not dataclasses.MISSING:
            default = field.default
        elif field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        adapter: TypeAdapter[Any] = TypeAdapter(Annotated[plain, Field(**limits)] if limits else plain)
        result[field.name] = Option(
            name=field.name, type=plain, doc=doc, default=default, required=required, adapter=adapter
        )
    return MappingProxyType(result)


def path_options(cls: type) -> list[str]:
    """Return the names of the options that are paths."""
    return [name for name, option in describe(cls).items() if Path in (option.type, *get_args(option.type))]


def validate(cls: type, values: Mapping[str, Any], what: str) -> Any:
    """Build `cls` from a recipe's values.

    Args:
        cls: the dataclass.
        values: by key, in JSON's types.
        what: the component, for messages: "model 'mlp'".

    Raises:
        BadUsage: an unknown or missing key, a wrong type, a value out of bounds.
    """
    options = describe(cls)
    for key in values:
        if key not in options:
            raise BadUsage(f"{what} has no option {key!r}.", nearest(key, options))
    missing = [o.name for o in options.values() if o.required and o.name not in values]
    if missing:
        docs = " ".join(f"{name}: {options[name].doc}" for name in missing)
        raise BadUsage(f"{what} needs {', '.join(map(repr, missing))}.", docs)
    given = {key: _value(options[key], value, what) for key, value in values.items()}
    try:
        return cls(**given)
    except (TypeError, ValueError) as error:
        raise BadUsage(f"{what}: {error}.") from error


def _value(option: Option, value: Any, what: str) -> Any:
    """Validate one value strictly, as JSON: "3" is not a number, 1 is not a string."""
    _check_keys(option.type, value, f"{what}: {option.name}")
    try:
        return option.adapter.validate_json(json.dumps(value, default=str), strict=True)
    except ValidationError as error:
        first, *others = error.errors(include_url=False)
        text = first["msg"][0].lower() + first["msg"][1:]
        if others and all(e["loc"][:-1] == first["loc"][:-1] for e in others) and get_origin(option.type) in UNIONS:
            text += "".join(" or " + e["msg"].removeprefix("Input should be ") for e in others)
            first["loc"] = first["loc"][:-1]  # its end is a branch of the union
        where = "".join(f"[{part}]" for part in first["loc"])
        hint = option.doc
        if first["type"] == "string_type" and isinstance(value, int | float):
            hint = f"{hint} A text that reads as a number is quoted: {option.name}='\"{value}\"'.".strip()
        raise BadUsage(f"{what}: {option.name}{where} is {value!r}: {text}.", hint) from None


def _check_keys(kind: Any, value: Any, what: str) -> None:
    """Refuse keys that a dataclass inside an option lacks: pydantic leaves them out without a word."""
    if isinstance(value, list | tuple):
        for item in value:
            for inner in get_args(kind):
                _check_keys(inner, item, what)
    if not isinstance(value, Mapping):
        return
    classes = [each for each in (kind, *get_args(kind)) if isinstance(each, type) and dataclasses.is_dataclass(each)]
    known = {field.name: field.type for cls in classes for field in dataclasses.fields(cls)}
    for key in value if classes and get_origin(kind) is not dict else ():
        if key not in known:
            raise BadUsage(f"{what} has no key {key!r}.", nearest(key, known))


def to_json(options: Any) -> dict[str, Any]:
    """Return the JSON form of an options object, as the resolved recipe stores it."""
    if options is None:
        return {}
    if isinstance(options, Mapping):
        return dict(options)
    cls: Any = type(options)
    described = describe(cls)
    return {name: o.adapter.dump_python(getattr(options, name), mode="json") for name, o in described.items()}


def json_schema(cls: type) -> dict[str, Any]:
    """Return the JSON Schema of an options dataclass."""
    properties, required = {}, []
    for option in describe(cls).values():
        schema = _inlined(option.adapter.json_schema())
        if option.doc:
            schema["description"] = option.doc
        if option.required:
            required.append(option.name)
        else:
            schema["default"] = option.adapter.dump_python(option.default, mode="json")
        properties[option.name] = schema
    result: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**result, "required": required} if required else result


def _inlined(schema: Any, parts: Mapping[str, Any] | None = None) -> Any:
    """Return a schema with its `$defs` in place: it becomes part of another, where references would lead nowhere.

    A dataclass inside an option takes no other keys than its own.
    """
    if isinstance(schema, list):
        return [_inlined(each, parts) for each in schema]
    if not isinstance(schema, Mapping):
        return schema
    parts = schema.get("$defs", parts) or {}
    if "$ref" in schema:
        return _inlined(parts[schema["$ref"].rpartition("/")[2]], parts)
    inner = {key: _inlined(value, parts) for key, value in schema.items() if key != "$defs"}
    return {**inner, "additionalProperties": False} if isinstance(inner.get("properties"), dict) else inner
