"""Runs whose data was moved: resumed, evaluated and ejected from its new place; other data is refused."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

import benchdog
from benchdog.api import BadData
from support.bare import bare
from support.in_process import run, same, stop_at

pytestmark = pytest.mark.usefixtures("weights_alone")

TRAIN = ("--model", "linear", "--epochs", 3, "--batch-size", 16, "--set", "loop.checkpoint_steps=2", "--quiet")
TABLE = ("a/s.csv", "--set", "source.group=who")  # which decides the splits, not the class
STEPS = 4


def write_table(path, changed=()):
    """Write points and their classes; the rows `changed` get the other class."""
    path.parent.mkdir(exist_ok=True)
    points = np.random.default_rng(3).normal(size=(120, 2)).tolist()
    kinds = ["no" if (x > y) is (i in changed) else "yes" for i, (x, y) in enumerate(points)]
    lines = [f"{i},{x:.5f},{y:.5f},{kinds[i]}" for i, (x, y) in enumerate(points)]
    path.write_text("\n".join(["who,a,b,kind", *lines]) + "\n", encoding="utf-8")


def stop_run(cwd, *words):
    """Train a run `half` that is stopped after some steps."""
    with pytest.MonkeyPatch.context() as patched:
        stop_at(patched, STEPS)
        run("train", *words, *TRAIN, "--name", "half", cwd=cwd, code=143)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return a folder with runs on a table, `whole` finished and `half` stopped; the table's folder was renamed."""
    folder = tmp_path_factory.mktemp("trained")
    write_table(folder / "a" / "s.csv")
    with bare():
        run("train", *TABLE, *TRAIN, "--name", "whole", cwd=folder)
        stop_run(folder, *TABLE)
    (folder / "a").rename(folder / "b")
    return folder


@pytest.fixture
def moved(trained, tmp_path):
    """Return a copy of it."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    return tmp_path


def test_resume_with_moved_data_ends_with_the_same_bits(moved, trained):
    told = run("train", "--resume", "half", cwd=moved, code=5).err
    assert f"The data of run 'half' is missing: {trained / 'a' / 's.csv'} doesn't exist." in told
    assert "If it was moved: benchdog train --resume runs/half --data PATH" in told
    run("train", "--resume", "half", "--data", "b/s.csv", "--quiet", cwd=moved)
    half = moved / "runs" / "half"
    assert same(half, moved / "runs" / "whole")
    assert "moved: source.path = " in (half / "log.txt").read_text(encoding="utf-8")
    run("evaluate", "half", cwd=moved)  # the new place is kept
    assert "They don't diverge" in run("runs", "why", "half", "whole", cwd=moved).out


def test_finished_run_with_moved_data_is_evaluated_and_ejected(moved):
    for command in ("evaluate", "eject"):
        assert "--data PATH" in run(command, "whole", cwd=moved, code=5).err
    run("eject", "whole", "--data", "b/s.csv", "--samples", "x.npz", "--out", "x.py", cwd=moved)
    assert (moved / "x.npz").is_file()
    (moved / "b").rename(moved / "c")
    scores = json.loads(run("evaluate", "whole", "--data", "c/s.csv", "--json", cwd=moved).out)
    assert scores["samples"] > 0
    (moved / "c").rename(moved / "d")
    told = run("train", "--resume", "whole", "--data", "d/s.csv", cwd=moved).err
    assert "finished already; the new location of its data is recorded" in told
    assert benchdog.evaluate("whole", runs_dir=moved / "runs")["metrics"] == scores["metrics"]
    (moved / "d").rename(moved / "e")
    opened = benchdog.open_run("whole", data=moved / "e" / "s.csv", runs_dir=moved / "runs")
    assert len(opened.arrays("train").target) > 0


@pytest.mark.parametrize(
    ("command", "run_name"), [(("train", "--resume"), "half"), (("evaluate",), "whole"), (("eject",), "whole")]
)
def test_other_data_is_refused_and_named(moved, command, run_name):
    recipe = moved / "runs" / run_name / "recipe.toml"
    before = recipe.read_bytes()
    write_table(moved / "c" / "s.csv", changed=range(40, 120))
    told = run(*command, run_name, "--data", "c/s.csv", cwd=moved, code=5).err
    assert "samples of the train split have changed since the training began (target of line-" in told
    lines = (moved / "b" / "s.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    (moved / "c" / "s.csv").write_text("".join(lines[:100]), encoding="utf-8")
    told = run(*command, run_name, "--data", "c/s.csv", cwd=moved, code=5).err
    assert "The data isn't what this run was trained on: sizes.train was" in told
    (moved / "c" / "s.csv").write_text("".join(lines).replace("kind", "sort"), encoding="utf-8")
    assert "isn't what this run was trained on" in run(*command, run_name, "--data", "c/s.csv", cwd=moved, code=5).err
    told = run(*command, run_name, "--data", "nowhere.csv", cwd=moved, code=5).err
    assert "nowhere.csv doesn't exist." in told
    assert recipe.read_bytes() == before


def test_path_in_the_recipe_may_be_edited_by_hand_and_no_other_key(moved):
    recipe = moved / "runs" / "half" / "recipe.toml"
    text = recipe.read_text(encoding="utf-8").replace("/a/s.csv", "/b/s.csv")
    recipe.write_text(text.replace("lr = 0.001", "lr = 0.01"), encoding="utf-8")
    told = run("train", "--resume", "half", "--quiet", cwd=moved, code=2).err
    assert "recipe.toml was changed since the checkpoint: trainer.lr." in told
    recipe.write_text(text, encoding="utf-8")
    run("train", "--resume", "half", "--quiet", cwd=moved)
    assert same(moved / "runs" / "half", moved / "runs" / "whole")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--set", "source.target=a"), "source.target is not a path that this run reads"),
        (("--set", "source.labels=x.csv"), "source.labels is not a path that this run reads"),
        (("--set", "trainer.lr=1"), "--resume continues a run unchanged"),
        (("--data", "b/s.csv", "--set", "source.path=c/s.csv"), "source.path is given twice"),
    ],
)
def test_resume_takes_no_other_setting(moved, words, message):
    assert message in run("train", "--resume", "half", *words, cwd=moved, code=2).err


def test_data_of_a_source_without_a_path_is_refused(tmp_path):
    run("train", "digits", "--model", "linear", "--epochs", 1, "--name", "whole", "--quiet", cwd=tmp_path)
    told = run("evaluate", "whole", "--data", "b/s.csv", cwd=tmp_path, code=2).err
    assert "source.path is not a path that this run reads" in told


def test_labels_next_to_images_move_with_them(tmp_path):
    folder = tmp_path / "a" / "images"
    folder.mkdir(parents=True)
    draw = np.random.default_rng(0)
    for i in range(40):
        Image.fromarray(draw.integers(0, 256, (4, 4), np.uint8)).save(folder / f"{i}.png")
    table = "\n".join(["path,label", *(f"{i}.png,{'ab'[i % 2]}" for i in range(40))])
    (tmp_path / "a" / "labels.csv").write_text(table, encoding="utf-8")
    stop_run(tmp_path, "./a/images", "--set", "source.labels=a/labels.csv")
    (tmp_path / "a").rename(tmp_path / "b")
    run("train", "--resume", "half", "--data", "b/images", "--quiet", cwd=tmp_path)
    (tmp_path / "b" / "labels.csv").rename(tmp_path / "other.csv")
    told = run("evaluate", "half", cwd=tmp_path, code=5).err
    assert "benchdog train --resume runs/half --set source.labels=PATH" in told
    run("train", "--resume", "half", "--set", "source.labels=other.csv", cwd=tmp_path)
    run("evaluate", "half", cwd=tmp_path)


def test_initial_weights_may_be_moved(tmp_path):
    write_table(tmp_path / "a" / "s.csv")
    first = {"layers.weight": np.ones((2, 2), np.float32), "layers.bias": np.zeros(2, np.float32)}
    save_file(first, tmp_path / "mine.safetensors")
    words = (*TABLE, "--set", "start.weights=mine.safetensors", "--set", "start.head=keep")
    stop_run(tmp_path, *words)
    run("train", *words, *TRAIN, "--name", "whole", cwd=tmp_path)
    (tmp_path / "mine.safetensors").rename(tmp_path / "moved.safetensors")
    assert "--set start.weights=PATH" in run("train", "--resume", "half", cwd=tmp_path, code=5).err
    save_file({**first, "layers.bias": np.ones(2, np.float32)}, tmp_path / "other.safetensors")
    other = ("--set", "start.weights=other.safetensors")
    assert "was changed since" in run("train", "--resume", "half", *other, cwd=tmp_path, code=5).err
    run("train", "--resume", "half", "--set", "start.weights=moved.safetensors", "--quiet", cwd=tmp_path)
    assert same(tmp_path / "runs" / "half", tmp_path / "runs" / "whole")


def test_repeated_runs_follow_moved_data(tmp_path):
    write_table(tmp_path / "a" / "s.csv")
    run("train", *TABLE, *TRAIN, "--name", "many", "--repeat", 1, cwd=tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    run("train", "b/s.csv", *TABLE[1:], *TRAIN, "--name", "many", "--repeat", 2, cwd=tmp_path)
    runs = tmp_path / "runs"
    assert "/b/s.csv" in (runs / "many-seed-0" / "recipe.toml").read_text(encoding="utf-8")
    shutil.rmtree(tmp_path / "b")
    write_table(tmp_path / "c" / "s.csv", changed=range(40, 120))
    told = run("train", "c/s.csv", *TABLE[1:], *TRAIN, "--name", "many", "--repeat", 2, cwd=tmp_path, code=5).err
    assert "samples of the train split have changed" in told


def test_changed_sample_weights_are_refused(tmp_path):
    write_table(tmp_path / "a" / "s.csv")
    lines = (tmp_path / "a" / "s.csv").read_text(encoding="utf-8").splitlines()
    rows = ["w", *(["1"] * (len(lines) - 1))]
    (tmp_path / "a" / "s.csv").write_text("\n".join(map(",".join, zip(rows, lines, strict=True))), encoding="utf-8")
    run("train", *TABLE, *TRAIN, "--set", "source.weight=w", "--name", "whole", cwd=tmp_path)
    rows[1:] = ["2"] * (len(rows) - 1)
    (tmp_path / "b.csv").write_text("\n".join(map(",".join, zip(rows, lines, strict=True))), encoding="utf-8")
    with pytest.raises(BadData, match="weight of line-"):
        benchdog.evaluate("whole", data=tmp_path / "b.csv", runs_dir=tmp_path / "runs")
