"""JSON output of every command, validated against its published schema.

The output of every other test that passes --json is validated too, see `published_schemas`.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from PIL import Image

from support.commands import Words, commands
from support.export_jobs import exports_in_process
from support.in_process import run
from support.json_schemas import FOLDER, assert_matches_schema, of

CASES: dict[Words, tuple[object, ...]] = {
    ("train",): ("digits", "--model", "linear", "--epochs", 1, "--name", "third"),
    ("find-lr",): ("digits", "--model", "linear", "--steps", 20, "--from", 1e-4),
    ("evaluate",): ("digits",),
    ("predict",): ("digits", "one.png"),
    ("export",): ("digits", "--to", "safetensors"),
    ("eject",): ("digits",),
    ("plan",): ("digits",),
    ("runs", "list"): (),
    ("runs", "show"): ("digits",),
    ("runs", "compare"): ("digits", "other"),
    ("runs", "why"): ("digits", "other"),
    ("runs", "report"): ("digits",),
    ("runs", "rm"): ("other", "--yes"),
    ("data", "list"): (),
    ("data", "fetch"): ("digits",),
    ("data", "info"): ("digits",),
    ("data", "verify"): ("digits",),
    ("data", "prune"): ("digits", "--yes"),
    ("plugins", "list"): (),
    ("plugins", "info"): ("cnn",),
    ("plugins", "check"): ("small_net.py",),
    ("plugins", "new"): ("model", "tiny-net", "--file"),
    ("new",): ("digits",),
    ("doctor",): (),
    ("schema",): (),
    ("completion",): ("bash",),
    ("tune",): ("digits", "--model", "linear", "--epochs", 1, "--trials", 1, "--space", "trainer.lr=[0.001, 0.01]"),
}
ELSEWHERE = {("serve",)}
"""Commands whose output is checked by the tests of their plugin."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, digits_run: Path) -> Path:
    """Return a folder with two runs, an image and a plugin file."""
    place = tmp_path_factory.mktemp("place")
    shutil.copytree(digits_run, place / "runs" / "digits")
    run("train", "digits", "--model", "linear", "--epochs", 1, "--name", "other", "--quiet", cwd=place)
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(place / "one.png")
    run("plugins", "new", "model", "small-net", "--file", cwd=place)
    return place


@pytest.mark.parametrize("words", CASES, ids=" ".join)
def test_json_output_matches_its_schema_and_quiet_prints_no_messages(words, place):
    with exports_in_process():
        left_out = {"BENCHDOG_PLUGINS": "builtin,eject,serve,tune"}  # doctor imports what the others need
        result = run(*words, *CASES[words], "--json", "--quiet", cwd=place, env=left_out)
    *_, last = result.lines if words == ("train",) else [result.json]
    assert_matches_schema("-".join(words), last)
    assert result.err == ""
    assert words == ("schema",) or last["format"] == 1


def test_every_command_has_a_schema_and_a_test_case():
    known = set(commands())
    assert set(CASES) <= known <= set(CASES) | ELSEWHERE, "a command without a case, or a case without a command"
    published = {path.name.removesuffix(".schema.json") for path in FOLDER.iterdir()}
    assert published == {"error", *("-".join(words) for words in {*CASES, *ELSEWHERE})}


@pytest.mark.parametrize("path", sorted(FOLDER.iterdir()), ids=lambda path: path.name)
def test_schemas_are_valid_strict_and_documented(path):
    schema = json.loads(path.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["title"]
    if path.name == "schema.schema.json":
        return
    unrestricted = [place for place, each in objects(schema, "") if "additionalProperties" not in each]
    assert unrestricted == [], "set additionalProperties"
    undocumented = [place for place, each in members(schema) if not ({"description", "const", "$ref"} & each.keys())]
    assert undocumented == [], "add a description"
    faults = of(path.name.removesuffix(".schema.json")).iter_errors({"format": 0})
    assert any(list(fault.path) == ["format"] for fault in faults)


def objects(schema: Any, place: str) -> list[tuple[str, dict[str, Any]]]:
    """List the objects that a schema describes, wherever they are."""
    if isinstance(schema, list):
        return [found for i, each in enumerate(schema) for found in objects(each, f"{place}/{i}")]
    if not isinstance(schema, dict):
        return []
    mine = [(place, schema)] if "properties" in schema and "if" not in place else []
    return mine + [found for key, each in schema.items() for found in objects(each, f"{place}/{key}")]


def members(schema: Any) -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"{place}.{name}", each)
        for place, found in objects(schema, "")
        for name, each in found["properties"].items()
    ]
