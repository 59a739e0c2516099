"""The schema of recipes in an editor: Taplo takes the recipes of `benchdog new` and names what is wrong in others."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchdog.plugins import Plugins
from benchdog.plugins.loading import installed
from benchdog.recipe.json_schema import recipe_schema
from benchdog.recipe.recipe import PARTS
from support.in_process import run

TAPLO = shutil.which("taplo") or shutil.which("taplo", path=str(Path(sys.executable).parent))
needs_taplo = pytest.mark.skipif(TAPLO is None, reason="Taplo is not installed")


def lint(place: Path, *files: str, schema: str = "") -> tuple[bool, str]:
    """Give whether Taplo finds all files good, and what it says."""
    chosen = ["--schema", (place / schema).as_uri()] if schema else []
    command = [str(TAPLO), "lint", "--no-auto-config", *chosen, *files]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, encoding="utf-8", timeout=60)
    return done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Give a folder with the schema."""
    place = tmp_path_factory.mktemp("editor")
    (place / "recipe.schema.json").write_text(run("schema", cwd=place).out, encoding="utf-8")
    return place


@needs_taplo
def test_every_kind_of_new_recipe_is_good(place):
    plugins = Plugins.discover()
    for kind in ("source", "model", "task", "trainer"):
        for name, found in plugins.all(kind).items():
            if not all(map(installed, found.info.requires)):
                continue
            source, flags = (name, ()) if kind == "source" else ("digits", (f"--{kind}", name))
            run("new", source, *flags, "--out", f"{kind}-{name.replace(':', '-')}.toml", cwd=place)
    files = [path.name for path in place.glob("*.toml")]
    assert len(files) > 20
    good, said = lint(place, *files, schema="recipe.schema.json")
    assert good, said


FAULTS = [
    ('source = "digits"\n[model]\nname = "cnn"\nwidht = 3\n', "'widht' was unexpected"),
    ('source = "digits"\n[model]\nname = "cnn"\nwidth = "3"\n', '"3" is not of type "integer"'),
    ('source = "digits"\n[trainer]\nlr = -1\n', "-1 is less than or equal to the minimum of 0"),
    ('source = "digits"\n[loop]\nepochz = 3\n', "'epochz' was unexpected"),
    ('source = "digits"\nmodels = "cnn"\n', "'models' was unexpected"),
    ('source = "digitz"\n', '"digitz" is not valid'),
    ('model = "cnn"\n', '"source" is a required property'),
]


@needs_taplo
@pytest.mark.parametrize(("text", "said"), FAULTS, ids=[said for _, said in FAULTS])
def test_a_fault_is_named(place, text, said):
    (place / "bad.toml").write_text(text, encoding="utf-8")
    good, told = lint(place, "bad.toml", schema="recipe.schema.json")
    assert not good
    assert said in told
    (place / "bad.toml").unlink()


@needs_taplo
def test_a_recipe_that_names_its_schema_needs_no_flag(tmp_path):
    (tmp_path / "recipes").mkdir()
    words = ("new", "digits", "--model", "cnn", "--out", "recipes/mine.toml", "--schema", "recipe.schema.json")
    told = run(*words, "--json", cwd=tmp_path).json
    assert told["schema"] == "recipe.schema.json"
    recipe = tmp_path / "recipes" / "mine.toml"
    text = recipe.read_text(encoding="utf-8")
    assert text.startswith("#:schema ../recipe.schema.json\n# A recipe for digits")
    assert lint(tmp_path, "recipes/mine.toml")[0]
    recipe.write_text(text.replace("# width = ", "widht = "), encoding="utf-8")
    good, told = lint(tmp_path, "recipes/mine.toml")
    assert not good
    assert "'widht' was unexpected" in told
    assert run("plan", "recipes/mine.toml", "--json", cwd=tmp_path, code=2).json["error"]["code"] == 2


def test_the_schema_needs_a_recipe_beside_it(tmp_path):
    said = run("new", "digits", "--schema", "recipe.schema.json", cwd=tmp_path, code=2).err
    assert "--schema requires --out" in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", PARTS)
def test_an_editor_finds_each_components_options_and_what_they_mean(kind):
    plugins = Plugins.discover()
    ways = {way["title"]: way for way in recipe_schema(plugins)["properties"][kind]["anyOf"] if "title" in way}
    assert set(ways) == set(plugins.all(kind))
    for name, way in ways.items():
        assert way["description"], name
        for key, option in way["properties"].items():
            assert key == "name" or option["description"], f"{name}.{key}"
            assert key == "name" or key in way["required"] or "default" in option, f"{name}.{key}"
