"""What a run is called when nobody names it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from benchdog.runs.names import stem
from benchdog.runs.run import NOT_IN_NAMES
from support.in_process import run

QUICK = ("--model", "linear", "--epochs", 1, "--quiet")


def table(path):
    draw = np.random.default_rng(0)
    path.write_text("\n".join(["a,kind", *(f"{draw.normal():.3f},{'uv'[i % 2]}" for i in range(60))]) + "\n")


def names(place):
    return sorted(path.name for path in (place / "runs").iterdir() if path.is_dir())


@pytest.mark.parametrize(
    ("file", "name"),
    [("my wines (2).v1.csv", "my-wines-2-.v1-linear-1"), ("å" * 80 + ".csv", None)],
)
def test_a_table_names_its_runs(tmp_path, file, name):
    table(tmp_path / file)
    run("train", file, *QUICK, cwd=tmp_path)
    assert names(tmp_path) == [name or "å" * 40 + "-linear-1"]
    run("evaluate", names(tmp_path)[0], cwd=tmp_path)


def test_the_second_run_has_the_next_number_and_a_recipe_the_same_name(tmp_path):
    table(tmp_path / "wines.csv")
    run("train", "wines.csv", *QUICK, cwd=tmp_path)
    run("train", "runs/wines-linear-1/recipe.toml", "--quiet", cwd=tmp_path)
    assert names(tmp_path) == ["wines-linear-1", "wines-linear-2"]
    told = run("train", "wines.csv", *QUICK, "--repeat", 2, "--json", cwd=tmp_path).lines[-1]
    assert told["name"] == "wines-linear-repeated-1"


def test_a_folder_names_its_runs_from_within_too(tmp_path):
    draw = np.random.default_rng(0)
    for i in range(30):
        place = tmp_path / "photos.2026" / ("cat", "dog")[i % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw.integers(0, 256, (6, 6, 3), np.uint8)).save(place / f"{i}.png")
    run("train", "./photos.2026", *QUICK, cwd=tmp_path)
    run("train", ".", *QUICK, "--runs-dir", tmp_path / "runs", cwd=tmp_path / "photos.2026")
    assert names(tmp_path) == ["photos.2026-linear-1", "photos.2026-linear-2"]


@pytest.mark.parametrize("words", ["train {}", "train {}.csv", "evaluate {}", "runs show {}", "serve {}"])
def test_a_name_too_long_for_any_file_is_told(tmp_path, words):
    told = run(*words.format("x" * 300).split(), cwd=tmp_path, code=2).err
    assert "Traceback" not in told
    assert "Type a shorter name." in told
    assert len(told) < 200
    assert list(tmp_path.iterdir()) == []


def test_a_data_set_by_name_keeps_it(tmp_path):
    run("train", "digits", *QUICK, cwd=tmp_path)
    assert names(tmp_path) == ["digits-linear-1"]


def may_be_a_files(text):
    return not set(text) & {"/", "\0"} and len(text.encode()) <= 255


@given(st.text(min_size=1, max_size=255).filter(may_be_a_files))
def test_any_name_becomes_one_that_every_file_system_takes(text):
    from pathlib import Path

    made = stem("csv", "file.py:Net", Path(text))
    assert made.endswith("-Net")
    assert not made.startswith(("-", "."))
    assert len(f"{made}-repeated-seed-12345".encode()) <= 200
    assert made.isprintable()
    assert not set(made) & {*NOT_IN_NAMES, " "}


def test_a_folder_with_the_name_of_a_run_is_a_folder(tmp_path):
    (tmp_path / "runs" / "zoo").mkdir(parents=True)
    (tmp_path / "runs" / "zoo" / "run.json").write_text("{}")
    for name in ("cat", "dog"):
        (tmp_path / "zoo" / name).mkdir(parents=True)
        for number in range(5):
            Image.new("L", (8, 8), 40 * number).save(tmp_path / "zoo" / name / f"{number}.png")
    assert "image-folder" in run("plan", "./zoo", cwd=tmp_path).out
    assert "is a run" in run("plan", "zoo", cwd=tmp_path, code=2).err
