"""Recipes, artifacts and runs with random changes, from fixed seeds: a sentence and an exit code, no traceback.

`run` raises any exception that the entry point doesn't turn into a message.
"""

import copy
import json
import random
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from PIL import Image

from support.in_process import run

GOLDEN = Path(__file__).parents[1] / "golden" / "format-1" / "finished"
RECIPE = """
seed = 3
source = { name = "digits" }
model = { name = "linear" }
task = { name = "classification", label_smoothing = 0.1 }
trainer = { name = "supervised", lr = 0.1, optimizer = "SGD", optimizer_options = { momentum = 0.9 } }
loop = { epochs = 1, batch_size = 32, memory = "" }
loader = { augment = ["flip", { name = "crop", padding = 2 }], workers = 0 }
start = { rename = { "a" = "b" } }
"""
VALUES: list[Any] = [
    True, 0, -1, 2**31, 2**63, 1e308, 0.5, "", "x", "\x1b[2J", "a" * 10_000, "\u202e", "../../x", "os:system",
    [], [1], ["a"], [[]], {}, {"a": 1}, {"name": "x"}, {"name": {}}, "auto", float("nan"), float("inf"),
]  # fmt: skip


def places(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every value in nested tables and lists."""
    if path:
        yield path
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ():
        yield from places(value, (*path, key))


def mutated(tree: Any, draw: random.Random) -> Any:
    """Return a copy in which a value is gone, another one, or one of another place."""
    tree = copy.deepcopy(tree)
    *path, last = draw.choice(list(places(tree)))
    holder = tree
    for key in path:
        holder = holder[key]
    if draw.random() < 0.2:
        del holder[last]
    else:
        holder[last] = draw.choice(VALUES)
    return tree


def check(*words: object, cwd: Path) -> None:
    """Run a command: it ends with a code that a user can act on, and with messages that can be read."""
    result = run(*words, cwd=cwd, code=None)
    assert result.code in (0, 1, 2, 3, 4, 5)
    assert result.code == 0 or result.err
    assert not set(result.out + result.err) & {"\x1b", "\u202e"}
    assert len(result.err) < 6000


@pytest.mark.parametrize("seed", range(12))
def test_mutated_recipe(tmp_path, seed):
    changed = mutated(tomllib.loads(RECIPE), random.Random(seed))
    (tmp_path / "r.toml").write_text(tomli_w.dumps(changed), encoding="utf-8")
    check("plan", "r.toml", cwd=tmp_path)


@pytest.mark.parametrize("seed", range(12))
def test_mutated_artifact(tmp_path, seed):
    shutil.copytree(GOLDEN / "artifact", tmp_path / "artifact")
    path = tmp_path / "artifact" / "artifact.json"
    changed = mutated(json.loads(path.read_text(encoding="utf-8")), random.Random(seed))
    path.write_text(json.dumps(changed), encoding="utf-8")
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    check("predict", "artifact", "a.png", cwd=tmp_path)


@pytest.mark.parametrize("command", ["list", "show", "compare", "why"])
@pytest.mark.parametrize("name", ["run.json", "environment.json", "recipe.toml"])
def test_mutated_run(tmp_path, command, name):
    for each in ("a", "b"):
        shutil.copytree(GOLDEN, tmp_path / "runs" / each)
    path = tmp_path / "runs" / "a" / name
    text = path.read_text(encoding="utf-8")
    for seed in range(2):
        draw = random.Random(f"{name} {command} {seed}")
        if name.endswith(".json"):
            path.write_text(json.dumps(mutated(json.loads(text), draw)), encoding="utf-8")
        else:
            path.write_text(tomli_w.dumps(mutated(tomllib.loads(text), draw)), encoding="utf-8")
        check("runs", command, *{"list": (), "show": ("a",)}.get(command, ("a", "b")), cwd=tmp_path)
