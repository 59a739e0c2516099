"""The JSON schema of recipes in an editor: Taplo accepts the recipes of `benchdog new` and reports errors."""

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
    """Return whether Taplo accepts all files, and its output."""
    chosen = ["--schema", (place / schema).as_uri()] if schema else []
    command = [str(TAPLO), "lint", "--no-auto-config", *chosen, *files]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, encoding="utf-8", timeout=60)
    return done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Return a folder with the schema."""
    place = tmp_path_factory.mktemp("editor")
    (place / "recipe.schema.json").write_text(run("schema", cwd=place).out, encoding="utf-8")
    return place


@needs_taplo
def test_new_recipes_of_every_component_pass_the_schema(place):
    plugins = Plugins.discover()
    for kind in ("source", "model", "task", "trainer"):
        for name, found in plugins.all(kind).items():
            if not all(map(installed, found.info.requires)):
                continue
            source, flags = (name, ()) if kind == "source" else ("digits", (f"--{kind}", name))
            run("new", source, *flags, "--out", f"{kind}-{name.replace(':', '-')}.toml", cwd=place)
    files = [path.name for path in place.glob("*.toml")]
    assert len(files) > 20
    valid, message = lint(place, *files, schema="recipe.schema.json")
    assert valid, message


FAULTS = [
    ('source = "digits"\n[model]\nname = "cnn"\nwidht = 3\n', "'widht' was unexpected"),
    ('source = "digits"\n[model]\nname = "cnn"\nwidth = "3"\n', '"3" is not of type "integer"'),
    ('source = "digits"\n[trainer]\nlr = -1\n', "-1 is less than or equal to the minimum of 0"),
    ('source = "digits"\n[loop]\nepochz = 3\n', "'epochz' was unexpected"),
    ('source = "digits"\nmodell = "cnn"\n', "'modell' was unexpected"),
    ('source = "digitz"\n', '"digitz" is not valid'),
    ('model = "cnn"\n', '"source" is a required property'),
]


@needs_taplo
@pytest.mark.parametrize(("text", "message"), FAULTS, ids=[message for _, message in FAULTS])
def test_recipe_error_is_reported(place, text, message):
    (place / "bad.toml").write_text(text, encoding="utf-8")
    valid, output = lint(place, "bad.toml", schema="recipe.schema.json")
    assert not valid
    assert message in output
    (place / "bad.toml").unlink()


@needs_taplo
def test_recipe_with_schema_directive_is_validated(tmp_path):
    (tmp_path / "recipes").mkdir()
    words = ("new", "digits", "--model", "cnn", "--out", "recipes/mine.toml", "--schema", "recipe.schema.json")
    output = run(*words, "--json", cwd=tmp_path).json
    assert output["schema"] == "recipe.schema.json"
    recipe = tmp_path / "recipes" / "mine.toml"
    text = recipe.read_text(encoding="utf-8")
    assert text.startswith("#:schema ../recipe.schema.json\n# A recipe for digits")
    assert lint(tmp_path, "recipes/mine.toml")[0]
    recipe.write_text(text.replace("# width = ", "widht = "), encoding="utf-8")
    valid, output = lint(tmp_path, "recipes/mine.toml")
    assert not valid
    assert "'widht' was unexpected" in output
    assert run("plan", "recipes/mine.toml", "--json", cwd=tmp_path, code=2).json["error"]["code"] == 2


def test_schema_flag_requires_out(tmp_path):
    stderr = run("new", "digits", "--schema", "recipe.schema.json", cwd=tmp_path, code=2).err
    assert "--schema requires --out" in stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", PARTS)
def test_schema_describes_every_option_of_every_component(kind):
    plugins = Plugins.discover()
    ways = {way["title"]: way for way in recipe_schema(plugins)["properties"][kind]["anyOf"] if "title" in way}
    assert set(ways) == set(plugins.all(kind))
    for name, way in ways.items():
        assert way["description"], name
        for key, option in way["properties"].items():
            assert key == "name" or option["description"], f"{name}.{key}"
            assert key == "name" or key in way["required"] or "default" in option, f"{name}.{key}"
