"""Validation of `--json` output against the published JSON Schemas."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "reference" / "schemas"


@cache
def of(name: str) -> jsonschema.Draft202012Validator:
    """Return the validator for the documents of a command, or of "error"."""
    schema = json.loads((FOLDER / f"{name}.schema.json").read_text(encoding="utf-8"))
    return jsonschema.Draft202012Validator(schema)


def assert_matches_schema(name: str, document: Any) -> None:
    """Assert that a document matches the schema of that name."""
    found = jsonschema.exceptions.best_match(of(name).iter_errors(document))
    assert found is None, f"{name} --json, at {found.json_path}: {found.message[:500]}"


def check(args: tuple[object, ...], out: str) -> None:
    """Assert that the output of a command under --json matches its schema, where it has one."""
    words = [str(arg) for arg in args]
    while words[:1] == ["--plugin"]:
        words = words[2:]
    names = ["-".join(words[:2]), words[0] if words else ""]
    published = {path.name.removesuffix(".schema.json") for path in FOLDER.iterdir()}
    name = next((name for name in names if name in published), "")
    if "--json" not in words or "--help" in words or not name:
        return
    documents = [json.loads(line) for line in out.splitlines()] if name == "train" else [json.loads(out)]
    *events, last = documents
    assert all("event" in event for event in events)
    assert "event" not in last
    for document in documents:
        assert_matches_schema("error" if "error" in document and len(document) == 2 else name, document)
