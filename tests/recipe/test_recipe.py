"""Recipes: layers, paths, errors, TOML form, JSON schema, and the recipes that `new` writes."""

import dataclasses
import json
import re
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchdog.errors import BadData, BadUsage
from benchdog.plugins import Plugins
from benchdog.plugins.context import PluginContext
from benchdog.recipe.commented import _toml, new_recipe
from benchdog.recipe.compose import compose_draft
from benchdog.recipe.draft import Draft
from benchdog.recipe.json_schema import recipe_schema
from benchdog.recipe.layers import SHIPPED
from benchdog.recipe.named_code import TABLES
from benchdog.recipe.recipe import ArtifactConfig, ComponentConfig, LoaderConfig, LoopConfig, Recipe
from benchdog.recipe.resolved import local_files, read_resolved, relocate, write_resolved

PLUGIN = """
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from benchdog.api import Doc, ModelInfo, SourceInfo, hookimpl

CONTRACT = 1

@dataclass(frozen=True, kw_only=True)
class Options:
    path: Annotated[Path | None, Doc("Where.")] = None
    more: Annotated[str, Doc("Not a path.")] = ""

@hookimpl
def benchdog_sources():
    return [SourceInfo(name="stars", summary="Stars.", target=":Stars", options=":Options", defaults={
        "model.name": "mlp", "model.hidden": [5], "trainer.lr": 0.5, "loop.epochs": 77, "loop.batch_size": 8})]
"""


@pytest.fixture(scope="module")
def plugins(tmp_path_factory):
    file = tmp_path_factory.mktemp("plugin") / "stars.py"
    file.write_text(PLUGIN, encoding="utf-8")
    return Plugins.discover([file])


@pytest.fixture(scope="module")
def schema(plugins):
    return jsonschema.Draft202012Validator(recipe_schema(plugins))


@pytest.fixture
def shared(plugins):
    return PluginContext(_plugins=plugins)


@pytest.fixture
def write(tmp_path):
    def text(content, name="recipe.toml"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(content, encoding="utf-8")
        return str(path)

    return text


def asked(shared, what, *settings, **flags):
    return compose_draft(
        what, {key.replace("__", "."): value for key, value in flags.items()}, list(settings), shared
    )


# --- layers


def test_later_layers_override_earlier_ones(shared, write):
    recipe = write("source = 'digits'\nseed = 5\n[loop]\nepochs = 7\nbatch_size = 9\npatience = 2\n")
    draft = asked(shared, recipe, "loop.patience=4", loop__epochs=8)
    loop = draft.table("loop")
    assert (loop.epochs, loop.batch_size, loop.patience, loop.keep) == (8, 9, 4, 2)
    assert draft.seed == 5
    assert asked(shared, "digits").table("loop").batch_size == 64, "the source's own default"
    assert asked(shared, "digits", "loop.batch_size=3").table("loop").batch_size == 3


def test_replacing_a_component_drops_the_options_of_the_previous_one(shared, write):
    recipe = write("source = 'digits'\n[model]\nname = 'cnn'\nwidth = 8\n[trainer]\nlr = 0.5\n")
    assert asked(shared, recipe).part("model").options["width"] == 8
    draft = asked(shared, recipe, "model.hidden=[3]", model__name="mlp")
    assert draft.part("model").name == "mlp"
    assert draft.part("model").options == {"hidden": [3], "dropout": 0.0}
    assert draft.part("trainer").options["lr"] == 0.5
    assert asked(shared, recipe, model__name="cnn").part("model").options["width"] == 8


def test_source_defaults_have_lowest_priority_and_follow_their_component(shared):
    draft = asked(shared, "stars")
    assert draft.name("model") == "mlp"
    assert draft.part("model").options["hidden"] == [5]
    assert draft.part("trainer").options["lr"] == 0.5
    assert draft.table("loop").epochs == 77
    other = asked(shared, "stars", model__name="cnn", loop__epochs=3)
    assert other.part("model").options == asked(shared, "digits", model__name="cnn").part("model").options
    assert other.table("loop").epochs == 3
    assert other.table("loop").batch_size == 8
    assert asked(shared, "stars", trainer__name="supervised").part("trainer").options["lr"] == 0.001


def test_same_key_with_different_values_is_refused(shared):
    with pytest.raises(BadUsage, match=r"loop\.epochs is given twice: 3 and 4"):
        asked(shared, "digits", "loop.epochs=4", loop__epochs=3)
    with pytest.raises(BadUsage, match=r"model\.name is given twice"):
        asked(shared, "digits", "model=cnn", "model.name=mlp")
    assert asked(shared, "digits", "loop.epochs=3", loop__epochs=3).table("loop").epochs == 3


def test_settings_are_parsed_as_toml_and_bare_words_as_strings(shared):
    draft = asked(
        shared, "digits", "model=mlp", "model.hidden=[4, 5]", "model.dropout = 0.5", "trainer.optimizer=SGD"
    )
    assert draft.part("model").options == {"hidden": [4, 5], "dropout": 0.5}
    assert draft.part("trainer").options["optimizer"] == "SGD"


# --- paths


def test_paths_resolve_against_recipe_and_flags_against_working_folder(shared, write, tmp_path, monkeypatch):
    recipe = write("source = {name = 'stars', path = 'sky.fits', more = 'x/y'}\n", "deep/recipe.toml")
    monkeypatch.chdir(tmp_path)
    part = asked(shared, recipe).part("source")
    assert part.options == {"path": str(tmp_path / "deep" / "sky.fits"), "more": "x/y"}
    assert asked(shared, "deep/recipe.toml").part("source") == part
    part = asked(shared, recipe, source__path="other.fits").part("source")
    assert part.options["path"] == str(tmp_path / "other.fits")
    absolute = str(tmp_path / "absolute.fits")
    assert asked(shared, recipe, f"source.path={absolute}").part("source").options["path"] == absolute
    assert asked(shared, recipe, "source.path=~/x").part("source").options["path"] == str(Path.home() / "x")


def test_csv_file_or_folder_selects_a_source(shared, tmp_path, monkeypatch):
    (tmp_path / "wine.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    (tmp_path / "pets").mkdir()
    monkeypatch.chdir(tmp_path)
    part = asked(shared, "wine.csv").part("source")
    assert part.name == "csv"
    assert part.options["path"] == str(tmp_path / "wine.csv")
    assert asked(shared, "./pets").part("source").name == "image-folder"
    with pytest.raises(BadData, match=r"no file gone\.csv"):
        asked(shared, "gone.csv")


def test_plugin_files_of_a_recipe_resolve_against_it_and_load(write, tmp_path):
    write(PLUGIN.replace("stars", "moons"), "deep/moons.py")
    recipe = write("plugins = ['moons.py']\nsource = 'moons'\n", "deep/recipe.toml")
    draft = compose_draft(recipe, {}, [], PluginContext())
    assert draft.part("source").name == "moons"
    assert draft.local == (str(tmp_path / "deep" / "moons.py"),)


def test_code_of_a_recipe_needs_permission(write, tmp_path):
    flag = tmp_path / "ran"
    write(f"open({str(flag)!r}, 'w').close()\n", "evil.py")
    for recipe in ("plugins = ['evil.py']\nsource = 'digits'\n", "source = 'digits'\nmodel = 'evil.py:Net'\n"):
        path = write(recipe)
        with pytest.raises(BadUsage, match=r"runs code.*evil\.py"):
            compose_draft(path, {}, [], PluginContext(), without_code=TABLES)
        assert not flag.exists()
        compose_draft(path, {}, [], PluginContext(local=[tmp_path / "evil.py"]), without_code=TABLES)
        flag.unlink(missing_ok=True)
    compose_draft("digits", {}, [], PluginContext(), without_code=TABLES)


# --- errors


def read_all(path):
    draft = compose_draft(str(path), {}, [], PluginContext())
    seed = draft.seed
    for table in ("loop", "loader", "artifact"):
        draft.table(table)
    for kind in ("source", "model", "trainer"):
        draft.part(kind)
    return seed


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("source = 'digits'\nsed = 1", ["unknown key 'sed'", "Did you mean 'seed'?"]),
        ("source = 'digits'\nepochs = 1", ["unknown key 'epochs'", "Did you mean 'loop.epochs'?"]),
        ("source = 'digits'\nepochz = 1", ["unknown key 'epochz'", "Did you mean 'loop.epochs'?"]),
        ("source = 'digits'\n[lopp]\nepochs = 1", ["unknown key 'lopp'", "Did you mean 'loop'?"]),
        ("source = 'digits'\n[loop]\nepoch = 1", ["unknown key 'loop.epoch'", "Did you mean 'loop.epochs'?"]),
        ("source = 'digits'\nloop = 3", ["loop is 3, not a table", "[loop]"]),
        ("source = 'digits'\n[loop]\nepochs = 'x'", ["[loop]: epochs is 'x'", "integer"]),
        ("source = 'digits'\n[loader]\nworkers = -1", ["workers is -1", "or 'auto'"]),
        ("source = 'digits'\nseed = -1", ["seed is -1"]),
        ("source = 'digits'\nseed = true", ["seed is True"]),
        ("source = 'digits'\nmodel = 3", ["model.name is 3", "not a name"]),
        ("source = 'digitz'", ["no source 'digitz'", "Did you mean 'digits'?"]),
        ("source = 'digits'\nmodel = 'cnnn'", ["no model 'cnnn'", "Did you mean 'cnn'?"]),
        ("source = 'digits'\n[model]\nname = 'cnn'\nwitdh = 3", ["no option 'witdh'", "Did you mean 'width'?"]),
        ("source = 'digits'\nplugins = 'x.py'", ["plugins is 'x.py', not a list"]),
        ("source = 'digits'\nplugins = ['gone.py']", ["no plugin file", "gone.py"]),
        ("seed = 1", ["No source is named", "digits"]),
        ("source = ", ["is not TOML"]),
        ("\udcff", ["is not TOML"]),
    ],
)
def test_invalid_recipe_error_names_key_and_suggests_nearest(tmp_path, content, message):
    path = tmp_path / "recipe.toml"
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(BadUsage) as caught:
        read_all(path)
    assert caught.value.code == 2
    for part in message:
        assert part in str(caught.value)


def test_missing_or_unreadable_recipe_is_refused(shared, tmp_path):
    with pytest.raises(BadUsage, match="There is no recipe"):
        asked(shared, str(tmp_path / "gone.toml"))
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(BadData):
        asked(shared, str(tmp_path / "folder.toml"))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("loop.epochs", "has no '='"),
        ("loop.epoch=3", "Did you mean 'loop.epochs'?"),
        ("=3", "unknown key ''"),
        ("nothing.at.all=3", "unknown key"),
    ],
)
def test_invalid_setting_is_refused(shared, setting, message):
    with pytest.raises(BadUsage) as caught:
        asked(shared, "digits", setting)
    assert message in str(caught.value)


def test_unknown_key_from_python_is_refused(shared):
    with pytest.raises(BadUsage, match="unknown key 'epochz'"):
        asked(shared, "digits", epochz=3)


# --- TOML


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
values = st.recursive(
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
parts = st.builds(
    ComponentConfig, name=texts, options=st.dictionaries(texts.filter(lambda k: k != "name"), values, max_size=3)
)
recipes = st.builds(
    Recipe,
    seed=st.integers(0, 2**63 - 1),
    plugins=st.lists(texts, max_size=2).map(tuple),
    **dict.fromkeys(("source", "model", "task", "trainer", "backend"), parts),
    loop=st.builds(LoopConfig, epochs=st.integers(1), checkpoint_seconds=st.floats(0.001, 1e9)),
    loader=st.builds(LoaderConfig, workers=st.just("auto") | st.integers(0, 99)),
    artifact=st.builds(ArtifactConfig, samples=st.integers(0, 99)),
)


@given(recipe=recipes)
def test_resolved_recipe_round_trips_through_toml_and_json(recipe):
    assert Recipe.from_json(tomllib.loads(recipe.to_toml())) == recipe
    assert Recipe.from_json(json.loads(json.dumps(recipe.to_json()))) == recipe


@given(value=values)
def test_toml_value_is_written_on_one_line(value):
    text = _toml(value)
    assert "\n" not in text
    assert tomllib.loads(f"v = {text}") == {"v": value}


def test_resolved_recipe_on_disk_round_trips_and_refuses_damage(shared, tmp_path):
    draft = asked(shared, "digits")
    kinds = ("source", "model", "task", "trainer", "backend")
    parts: dict[str, Any] = {kind: ComponentConfig(name=draft.name(kind)) for kind in kinds}
    recipe = Recipe(**parts)
    write_resolved(tmp_path, recipe)
    assert read_resolved(tmp_path) == recipe
    for damage in ("", "source = 3", "seed = [", "\0", "source = {}\n"):
        (tmp_path / "recipe.toml").write_text(damage, encoding="utf-8")
        with pytest.raises(BadData, match=r"recipe\.toml"):
            read_resolved(tmp_path)


def test_relocate_updates_local_file_paths(tmp_path):
    plain = ComponentConfig(name="x")
    recipe = Recipe(
        source=plain,
        model=ComponentConfig(name="/a/net.py:Net"),
        task=plain,
        trainer=plain,
        backend=plain,
        plugins=("/a/p.py",),
    )
    assert local_files(recipe) == ["/a/p.py", "/a/net.py"]
    copied = relocate(recipe, {"/a/p.py": "/run/p.py", "/a/net.py": "/run/net.py"})
    assert copied.model.name == "/run/net.py:Net"
    assert copied.plugins == ("/run/p.py",)
    assert replace(copied, model=recipe.model, plugins=recipe.plugins) == recipe


# --- schema and new


GOOD = [
    "source = 'digits'",
    "[source]\nname = 'digits'\nvalid = 0.2",
    "source = 'digits'\n[model]\nwidth = 8\n[trainer]\nlr = 0.1",
    "source = 'digits'\nmodel = 'mlp'\nseed = 3\nplugins = []",
    "source = 'digits'\n[model]\nname = 'mlp'\nhidden = [3, 4]",
    "source = 'digits'\nmodel = 'auto'\n[task]\nname = 'auto'",
    "source = 'digits'\n[loader]\nworkers = 'auto'\nmemory = 0\n[artifact]\nsamples = 0",
    "source = 'digits'\n[model]\nname = 'torch.nn:Linear'\nanything = 1",
    "[source]\nname = 'stars'\npath = 'x'\n[backend]\nname = 'cpu'\nranks = 2",
]
BAD = [
    "seed = 3",
    "source = 'digitz'",
    "source = 'digits'\nmodel = 'cnnn'",
    "source = 'digits'\nsed = 3",
    "source = 'digits'\n[loop]\nepoch = 3",
    "source = 'digits'\n[loop]\nepochs = 0",
    "source = 'digits'\n[loader]\nworkers = -1",
    "source = 'digits'\n[source]\nname = 'digits'\nvald = 0.2".replace("source = 'digits'\n", ""),
    "source = 'digits'\n[model]\nname = 'mlp'\nhidden = 3",
    "source = 'digits'\n[trainer]\nlr = 'fast'",
    "source = 'digits'\n[trainer]\nname = 'supervised'\nrate = 0.1",
]


def accepted(shared, path):
    draft = asked(shared, path)
    for kind in ("source", "trainer"):
        draft.part(kind)
    for kind in ("model", "task", "backend"):
        if draft.name(kind) != "auto":
            draft.part(kind)
    for table in ("loop", "loader", "artifact"):
        draft.table(table)
    return draft


@pytest.mark.parametrize("content", GOOD)
def test_schema_accepts_valid_recipes(shared, write, schema, content):
    assert accepted(shared, write(content)).name("source")
    schema.validate(tomllib.loads(content))


@pytest.mark.parametrize("content", BAD)
def test_schema_refuses_invalid_recipes(shared, write, schema, content):
    with pytest.raises(BadUsage):
        accepted(shared, write(content))
    assert not schema.is_valid(tomllib.loads(content))


def test_recipe_schema_is_a_valid_json_schema(plugins):
    jsonschema.Draft202012Validator.check_schema(recipe_schema(plugins))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_shipped_recipes_are_found_by_name(path, shared, schema, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    schema.validate(tomllib.loads(path.read_text(encoding="utf-8")))
    draft = accepted(shared, path.name)
    assert draft.name("source") == "fashion-mnist"
    Path(path.name).write_text('source = "digits"', encoding="utf-8")  # a file here comes first
    assert accepted(shared, path.name).name("source") == "digits"


def all_sources():
    return sorted(Plugins.discover().all("source"))


@pytest.mark.parametrize("source", [*all_sources(), "stars"])
def test_new_recipe_is_valid_with_options_commented_and_uncommented(plugins, shared, write, schema, source):
    text = new_recipe(plugins, {"source": source, "model": "mlp", "task": "regression"}, {})
    path = write(text)
    draft = accepted(shared, path)
    assert draft.name("source") == source
    schema.validate(tomllib.loads(text))
    for key, value in plugins.find("source", source).info.defaults.items():
        if key.startswith("loop."):
            assert getattr(draft.table("loop"), key.removeprefix("loop.")) == value
    full = re.sub(r"(?m)^# (?=\w+ = )", "", text)
    assert full.count("\n[") == text.count("\n[")
    assert set(tomllib.loads(full)["loop"]) == {field.name for field in dataclasses.fields(LoopConfig)}
    schema.validate(tomllib.loads(full))
    assert accepted(shared, write(full)).table("loop") == draft.table("loop")


def test_new_recipe_for_unknown_component_is_refused(plugins):
    with pytest.raises(BadUsage, match="no source 'digitz'"):
        new_recipe(plugins, {"source": "digitz"}, {})
    with pytest.raises(BadUsage, match="no model 'cnnn'"):
        new_recipe(plugins, {"source": "digits", "model": "cnnn"}, {})


def test_plugin_option_tables_and_lists_are_written_as_toml(tmp_path):
    code = """
from dataclasses import dataclass, field
from benchdog.api import SourceInfo, hookimpl

@dataclass(frozen=True, kw_only=True)
class Options:
    names: tuple[str, ...] = ("a b", "c")
    table: dict[str, int] = field(default_factory=lambda: {"x y": 1})
    needed: int

@hookimpl
def benchdog_sources():
    return [SourceInfo(name="odd", summary="", target=":X", options=":Options")]
"""
    file = tmp_path / "odd.py"
    file.write_text(code, encoding="utf-8")
    text = new_recipe(Plugins.discover([file]), {"source": "odd"}, {})
    full = re.sub(r"(?m)^# (?=\w+ = )", "", text)
    assert tomllib.loads(full)["source"]["table"] == {"x y": 1}
    assert tomllib.loads(full)["source"]["names"] == ["a b", "c"]
    assert '# needed = ""' in text


def test_draft_without_source_lists_available_sources(plugins):
    with pytest.raises(BadUsage, match="No source is named") as caught:
        Draft.merge([], plugins)
    assert "digits" in caught.value.hint


def test_folder_name_without_slash_or_missing_folder_is_refused(shared, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my-photos").mkdir()
    (tmp_path / "digits").mkdir()
    with pytest.raises(BadUsage, match="no source 'my-photos'") as caught:
        asked(shared, "my-photos")
    assert caught.value.hint == "For the folder: ./my-photos"
    assert asked(shared, "digits").part("source").name == "digits"
    with pytest.raises(BadData, match=r"There is no folder \./my-photo/\."):
        asked(shared, "./my-photo/")
    with pytest.raises(BadUsage, match="no source 'my-photo'"):
        asked(shared, "my-photo")
