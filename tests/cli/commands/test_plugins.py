"""`benchdog plugins`: listed plugins, components and their options."""

import json
from pathlib import Path
from typing import Annotated, Literal

import pytest

from benchdog.api import Doc
from benchdog.cli.commands.plugins import about, type_name
from benchdog.plugins import KINDS, Plugins

PLUGIN = """
from dataclasses import dataclass
from typing import Annotated, Literal

from benchdog.api import Bounds, Doc, ModelInfo, hookimpl

CONTRACT = 1


@dataclass(frozen=True, kw_only=True)
class Options:
    layers: Annotated[int, Doc("Hidden layers."), Bounds(ge=1)] = 2
    activation: Annotated[Literal["relu", "gelu"], Doc("Between them.")] = "relu"
    size: Annotated[int, Doc("Width.")]


@hookimpl
def benchdog_models():
    return [
        ModelInfo(name="local-net", summary="A net.", target=":build", options=":Options"),
        ModelInfo(name="needy", summary="Needs much.", target=":build", requires=("no_such_package",),
                  install="pip install no-such-package"),
    ]
"""


@pytest.fixture
def local(tmp_path):
    path = tmp_path / "local_plugin.py"
    path.write_text(PLUGIN, encoding="utf-8")
    return str(path)


def test_list_shows_the_builtin_components(bench):
    result = bench("plugins", "list", "--json")
    (row,) = (row for row in result.json["plugins"] if row["name"] == "builtin")
    assert row["state"] == "ok"
    assert row["distribution"] == "benchdog"
    assert "digits" in row["components"]["source"]
    assert "digits" in bench("plugins", "list").out


def test_info_of_a_component_shows_its_options(bench, local):
    result = bench("--plugin", local, "plugins", "info", "local-net", "--json")
    (component,) = result.json["components"]
    assert component["kind"] == "model"
    assert component["plugin"] == "local_plugin"
    options = {option["name"]: option for option in component["options"]}
    assert options["layers"]["type"] == "int"
    assert options["layers"]["default"] == 2
    assert options["layers"]["doc"] == "Hidden layers."
    assert options["layers"]["bounds"] == {"ge": 1}
    assert options["activation"]["type"] == '"relu" or "gelu"'
    assert options["size"]["required"] is True
    text = bench("--plugin", local, "plugins", "info", "local-net").out
    assert "Hidden layers." in text
    assert "int, >= 1" in text
    assert "required" in text


def test_info_shows_missing_requirements(bench, local):
    result = bench("--plugin", local, "plugins", "info", "needy", "--json")
    (component,) = result.json["components"]
    assert component["missing"] == ["no_such_package"]
    assert "pip install no-such-package" in bench("--plugin", local, "plugins", "info", "needy").out


def test_info_of_a_plugin_lists_its_components(bench):
    result = bench("plugins", "info", "builtin", "--json")
    (plugin,) = result.json["plugins"]
    assert {"kind": "source", "name": "digits"}.items() <= {
        key: value for each in plugin["components"] if each["name"] == "digits" for key, value in each.items()
    }.items()


def test_every_builtin_component_has_documented_options():
    plugins = Plugins.discover()
    components = [about(found) for kind in KINDS for found in plugins.all(kind).values() if found.dist == "benchdog"]
    assert {each["kind"] for each in components} == set(KINDS)
    options = [(each["name"], option) for each in components for option in each["options"]]
    assert options
    assert [(name, option["name"]) for name, option in options if not option["doc"]] == []


def test_unknown_name_suggests_the_nearest(bench):
    result = bench("plugins", "info", "digitz", code=2)
    assert "'digits'" in result.err
    assert "Traceback" not in result.err
    document = json.loads(bench("plugins", "info", "digitz", "--json", code=2).out)
    assert document["error"]["code"] == 2


@pytest.mark.parametrize(
    ("hint", "text"),
    [
        (int, "int"),
        (Annotated[Path | None, Doc("d")], "path or nothing"),
        (tuple[str, ...], "list of str"),
        (list[int], "list of int"),
        (tuple[int, float], "list of int, float"),
        (dict[str, float], "table of str, float"),
        (Literal["a", "b"], '"a" or "b"'),
        (float | None, "float or nothing"),
    ],
)
def test_type_names_are_readable(hint, text):
    assert type_name(hint) == text
