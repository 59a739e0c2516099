"""Several targets on the command line: --target once for each."""

import json
import shlex
import tomllib

import numpy as np
import pytest

from support.in_process import run

pytestmark = pytest.mark.usefixtures("weights_alone")


@pytest.fixture
def bikes(tmp_path):
    draw = np.random.default_rng(0)
    lines = ["heat,wind,casual,registered"]
    lines += [",".join(f"{x:.4f}" for x in (a, b, a + b, a - b)) for a, b in draw.normal(size=(200, 2))]
    (tmp_path / "two.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


BOTH = ("--target", "casual", "--target", "registered")


def test_train_plan_and_new_accept_several_targets(bikes):
    run("train", "two.csv", *BOTH, "--model", "linear", "--epochs", 1, "--name", "two", "--quiet", cwd=bikes)
    recipe = tomllib.loads((bikes / "runs" / "two" / "recipe.toml").read_text())
    assert recipe["source"]["target"] == ["casual", "registered"]
    artifact = json.loads((bikes / "runs" / "two" / "artifact" / "artifact.json").read_text())
    assert artifact["spec"]["target"]["classes"] == ["casual", "registered"]
    lines = run("plan", "two.csv", *BOTH, "--json", cwd=bikes).json["lines"]
    assert {"what": "target", "found": "number 'casual, registered', 2 columns"} in lines
    assert tomllib.loads(run("new", "two.csv", *BOTH, cwd=bikes).out)["source"]["target"] == ["casual", "registered"]


def test_find_lr_suggested_command_has_all_targets(bikes):
    result = run("find-lr", "two.csv", *BOTH, "--batch-size", 20, "--steps", 30, "--json", cwd=bikes, code=None)
    assert shlex.split(result.json["command"])[3:7] == [*BOTH]


def test_single_target_is_stored_as_a_string(bikes):
    run("train", "two.csv", *BOTH[:2], "--model", "linear", "--epochs", 1, "--name", "one", "--quiet", cwd=bikes)
    assert tomllib.loads((bikes / "runs" / "one" / "recipe.toml").read_text())["source"]["target"] == "casual"


def test_comma_separated_or_repeated_target_names_are_refused(bikes):
    stderr = run("plan", "two.csv", "--target", "casual,registered", cwd=bikes, code=2).err
    assert "For several: --target casual --target registered" in stderr
    assert "Name it once" in run("plan", "two.csv", *BOTH[:2], *BOTH[:2], cwd=bikes, code=2).err
    stderr = run("plan", "two.csv", "--target", "casual,registred", cwd=bikes, code=2).err
    assert "Available: heat, wind, casual, registered" in stderr
