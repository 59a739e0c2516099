"""Renamed keys, values and components: old names work with a note, stored recipes are read silently."""

import json
import shutil
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

from benchdog.errors import BadUsage
from benchdog.recipe.aliases import OPTIONS, current_key, current_recipe, current_values, renamed_keys
from benchdog.recipe.recipe import TABLES
from support.in_process import run

pytestmark = pytest.mark.usefixtures("weights_alone")

GOLDEN = Path(__file__).parents[1] / "golden"
QUICK = ["digits", "--model", "mlp", "--set", "model.hidden=[8]", "--set", "loop.epochs=1"]
OLD = {
    "trainer.optimiser": "SGD",
    "trainer.optimiser_options": {"momentum": 0.5},
    "trainer.freeze_parts": 1,
    "trainer.recompute": False,
    "loop.mixing": "allow",
}


def recipe_of(folder):
    return tomllib.loads((folder / "recipe.toml").read_text(encoding="utf-8"))


def test_renamed_keys_exist_under_their_new_names_only(tmp_path):
    schema = run("schema", cwd=tmp_path).json["properties"]
    for (table, name), names in OPTIONS.items():
        options = schema[table].get("properties") or next(
            each["properties"] for each in schema[table]["anyOf"] if each.get("title") == name
        )
        assert set(names.values()) <= set(options)
        assert not set(names) & set(options)
    assert set(OLD) == set(renamed_keys())


def test_renamed_keys_on_the_command_line_are_accepted_with_a_note(tmp_path):
    values = ["trainer.optimiser=SGD", "trainer.optimiser_options={ momentum = 0.5 }", "loop.mixing=allow"]
    words = [word for value in values for word in ("--set", value)]
    stderr = run("train", *QUICK, *words, "--name", "old", cwd=tmp_path).err
    assert "note: --set trainer.optimiser=SGD: trainer.optimiser is now trainer.optimizer (the old name" in stderr
    assert "loop.mixing is now loop.allow_batch_dependence" in stderr
    recipe = recipe_of(tmp_path / "runs" / "old")
    assert recipe["trainer"]["optimizer"] == "SGD"
    assert recipe["trainer"]["optimizer_options"] == {"momentum": 0.5}
    assert recipe["loop"]["allow_batch_dependence"] is True
    assert "optimiser" not in recipe["trainer"]


def test_recipe_with_renamed_keys_gets_one_note(tmp_path):
    (tmp_path / "old.toml").write_text(
        'source = "digits"\nmodel = "linear"\n'
        'trainer = { name = "supervised", optimiser = "SGD", freeze_parts = 0 }\n'
        'loop = { mixing = "allow" }\nloader = { augment = ["colour"] }\n',
        encoding="utf-8",
    )
    planned = run("plan", "old.toml", "--json", cwd=tmp_path)
    assert [line for line in planned.err.splitlines() if line.startswith("note:")] == [
        "note: old.toml: trainer.optimiser is now trainer.optimizer, trainer.freeze_parts is now "
        "trainer.freeze_groups, loop.mixing is now loop.allow_batch_dependence, 'colour' is now 'color' "
        "(the old name still works)"
    ]
    assert planned.json["recipe"]["loader"]["augment"][0]["name"] == "color"
    assert "note:" not in run("plan", "old.toml", "--quiet", cwd=tmp_path).err


def test_flag_overrides_renamed_key_in_the_recipe(tmp_path):
    (tmp_path / "old.toml").write_text(
        'source = "digits"\nmodel = "linear"\ntrainer = { name = "supervised", optimiser = "SGD" }\n',
        encoding="utf-8",
    )
    planned = run("plan", "old.toml", "--set", "trainer.optimizer=AdamW", "--json", cwd=tmp_path).json
    assert planned["recipe"]["trainer"]["optimizer"] == "AdamW"


def test_old_and_new_name_of_a_key_with_different_values_are_refused(tmp_path):
    both = ["--set", "trainer.optimiser=SGD", "--set", "trainer.optimizer=AdamW"]
    stderr = run("plan", *QUICK, *both, cwd=tmp_path, code=2).err
    assert "trainer.optimiser is the old name of trainer.optimizer; both are set" in stderr
    assert "Remove trainer.optimiser." in stderr
    with pytest.raises(BadUsage, match="both are set"):
        current_values({"loop.mixing": "allow", "loop.allow_batch_dependence": False}, {})


def test_old_key_without_its_table_suggests_the_new_key(tmp_path):
    stderr = run("plan", *QUICK, "--set", "freeze_parts=1", cwd=tmp_path, code=2).err
    assert "Did you mean 'trainer.freeze_groups'?" in stderr
    stderr = run("plan", *QUICK, "--set", "loop.mixin=allow", cwd=tmp_path, code=2).err
    assert "loop.mixing" not in stderr


def test_third_party_trainer_options_are_not_renamed():
    assert current_key("trainer.optimiser", {"trainer": "third-party"}) == "trainer.optimiser"
    assert current_key("trainer.optimiser", {"trainer": "supervised"}) == "trainer.optimizer"


def test_stored_recipe_is_converted_to_current_keys():
    stored = tomllib.loads((GOLDEN / "format-1" / "finished" / "recipe.toml").read_text(encoding="utf-8"))
    read = current_recipe(stored)
    assert read["trainer"]["optimizer"] == stored["trainer"]["optimiser"]
    assert read["loop"]["allow_batch_dependence"] is False
    assert not set(stored["loop"]) - set(read["loop"]) - {"mixing"}
    assert set(read["loop"]) == {field.name for field in fields(TABLES["loop"])} - {"steps_per_epoch"}  # came later
    assert current_recipe(read) == read


def test_stored_recipe_with_renamed_keys_is_planned_without_a_note(tmp_path):
    shutil.copytree(GOLDEN / "format-1" / "finished", tmp_path / "runs" / "finished")
    result = run("plan", "runs/finished/recipe.toml", "--json", cwd=tmp_path)
    assert "note:" not in result.err
    assert result.json["recipe"]["trainer"]["optimizer"] == "Adam"


def test_stopped_run_with_renamed_keys_resumes_without_a_note(tmp_path):
    shutil.copytree(GOLDEN / "format-1" / "stopped", tmp_path / "runs" / "stopped")
    result = run("train", "--resume", "stopped", cwd=tmp_path)
    assert "is now" not in result.err
    assert json.loads((tmp_path / "runs" / "stopped" / "run.json").read_text())["status"] == "finished"
