"""The JSON Schema of a recipe, built from the options of the installed components."""

from __future__ import annotations

from typing import Any

from benchdog.errors import BenchdogError
from benchdog.plugins import Plugins
from benchdog.plugins.options import json_schema
from benchdog.plugins.types import RegisteredComponent
from benchdog.recipe import plugin_tables
from benchdog.recipe.layers import NAME
from benchdog.recipe.recipe import PARTS, TABLES, OtherModelConfig

WHAT = {
    "source": "Data source.",
    "model": "Model to train.",
    "task": "Head, loss, metrics and predictions.",
    "trainer": "Training loop and optimizer.",
    "backend": "Hardware and precision.",
    "start": "Weights to start from (fine-tuning).",
    "output": "How the score is read from what the model returns.",
    "loop": "Epochs, batch size, early stopping, checkpoints.",
    "loader": "Data loading and augmentation.",
    "artifact": "What the artifact stores with the model.",
    "sources": "Further sources by name: valid and test replace those splits, others are the trainer's.",
    "models": "Trained models that the trainer uses, by name.",
}


def recipe_schema(plugins: Plugins) -> dict[str, Any]:
    """Describe every recipe that the installed plugins allow."""
    properties: dict[str, Any] = {
        "seed": {"type": "integer", "minimum": 0, "default": 0, "description": "Seed of all random numbers."},
        "plugins": {
            "type": "array",
            "items": {"type": "string"},
            "description": "Local plugin files; relative paths are resolved against the recipe's folder.",
        },
    }
    for kind in PARTS:
        properties[kind] = _part(kind, plugins)
    for name, table in TABLES.items():
        properties[name] = {"description": WHAT[name], **json_schema(table)}
    properties["sources"] = _named_tables("sources", {"$ref": "#/properties/source"})
    weights = {"type": "string", "description": "Short for a table with these weights."}
    properties["models"] = _named_tables("models", {"anyOf": [weights, json_schema(OtherModelConfig)]})
    properties |= plugin_tables.schemas()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Benchdog recipe",
        "type": "object",
        "properties": properties,
        "required": ["source"],
        "additionalProperties": False,
    }


def _named_tables(table: str, each: dict[str, Any]) -> dict[str, Any]:
    """Allow a table for each name."""
    names = {"pattern": f"^{NAME.pattern}$", "not": {"const": "train"}}
    return {"type": "object", "description": WHAT[table], "propertyNames": names, "additionalProperties": each}


def _part(kind: str, plugins: Plugins) -> dict[str, Any]:
    """Allow a name alone, or a table of name and options; a user-defined class has its own options.

    Editors complete from `anyOf`, which accepts the table of any component. `allOf` then validates a table by its
    name, so that an error names the key instead of "not valid under any of the given schemas".
    """
    found = plugins.all(kind)
    names = [*found, *([] if kind in ("source", "trainer") else ["auto"])]
    own = {"type": "string", "pattern": ":"}
    named: dict[str, Any] = {"type": "object", "properties": {"name": {"anyOf": [{"enum": names}, own]}}}
    if kind == "source":
        named["required"] = ["name"]
    ways: list[dict[str, Any]] = [{"enum": names}, own, named]
    rules = []
    for name, component in found.items():
        schema = _options(component)
        schema["properties"] = {"name": {"const": name}, **schema.get("properties", {})}
        unnamed = name == "supervised" and kind == "trainer"  # what a table without a name means
        needed = [] if unnamed else ["name"]
        schema["required"] = [*needed, *schema.get("required", [])]
        chosen = {"type": "object", "properties": {"name": {"const": name}}, "required": needed}
        rules.append({"if": chosen, "then": {"$ref": f"#/properties/{kind}/anyOf/{len(ways)}"}})
        ways.append({"title": name, "description": component.info.summary, **schema})
    return {"description": WHAT[kind], "anyOf": ways, "allOf": rules}


def _options(found: RegisteredComponent) -> dict[str, Any]:
    try:
        if found.info.options:
            return json_schema(found.resolve(found.info.options))
    except BenchdogError as error:
        return {"type": "object", "description": error.message}
    return {"type": "object", "properties": {}, "additionalProperties": False}
