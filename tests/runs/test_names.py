"""Default run names."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from benchdog.runs.names import stem
from benchdog.runs.run import NOT_IN_NAMES
from support.in_process import run

pytestmark = pytest.mark.usefixtures("weights_alone")

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
def test_run_is_named_after_its_table(tmp_path, file, name):
    table(tmp_path / file)
    run("train", file, *QUICK, cwd=tmp_path)
    assert names(tmp_path) == [name or "å" * 40 + "-linear-1"]
    run("evaluate", names(tmp_path)[0], cwd=tmp_path)


def test_runs_of_the_same_data_are_numbered(tmp_path):
    table(tmp_path / "wines.csv")
    run("train", "wines.csv", *QUICK, cwd=tmp_path)
    run("train", "runs/wines-linear-1/recipe.toml", "--quiet", cwd=tmp_path)
    assert names(tmp_path) == ["wines-linear-1", "wines-linear-2"]
    summary = run("train", "wines.csv", *QUICK, "--repeat", 2, "--json", cwd=tmp_path).lines[-1]
    assert summary["name"] == "wines-linear-repeated-1"


def test_run_is_named_after_its_folder_even_from_within(tmp_path):
    draw = np.random.default_rng(0)
    for i in range(30):
        place = tmp_path / "photos.2026" / ("cat", "dog")[i % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw.integers(0, 256, (6, 6, 3), np.uint8)).save(place / f"{i}.png")
    run("train", "./photos.2026", *QUICK, cwd=tmp_path)
    run("train", ".", *QUICK, "--runs-dir", tmp_path / "runs", cwd=tmp_path / "photos.2026")
    assert names(tmp_path) == ["photos.2026-linear-1", "photos.2026-linear-2"]


@pytest.mark.parametrize("words", ["train {}", "train {}.csv", "evaluate {}", "runs show {}", "serve {}"])
def test_name_too_long_for_a_file_is_refused(tmp_path, words):
    stderr = run(*words.format("x" * 300).split(), cwd=tmp_path, code=2).err
    assert "Traceback" not in stderr
    assert "Type a shorter name." in stderr
    assert len(stderr) < 200
    assert list(tmp_path.iterdir()) == []


def test_run_of_a_named_source_has_its_name(tmp_path):
    run("train", "digits", *QUICK, cwd=tmp_path)
    assert names(tmp_path) == ["digits-linear-1"]


def is_file_name(text):
    return not set(text) & {"/", "\0"} and len(text.encode()) <= 255


@given(st.text(min_size=1, max_size=255).filter(is_file_name))
def test_run_name_stem_is_valid_on_every_file_system(text):
    from pathlib import Path

    made = stem("csv", "file.py:Net", Path(text))
    assert made.endswith("-Net")
    assert not made.startswith(("-", "."))
    assert len(f"{made}-repeated-seed-12345".encode()) <= 200
    assert made.isprintable()
    assert not set(made) & {*NOT_IN_NAMES, " "}


def test_folder_path_is_not_mistaken_for_a_run_name(tmp_path):
    (tmp_path / "runs" / "zoo").mkdir(parents=True)
    (tmp_path / "runs" / "zoo" / "run.json").write_text("{}")
    for name in ("cat", "dog"):
        (tmp_path / "zoo" / name).mkdir(parents=True)
        for number in range(5):
            Image.new("L", (8, 8), 40 * number).save(tmp_path / "zoo" / name / f"{number}.png")
    assert "image-folder" in run("plan", "./zoo", cwd=tmp_path).out
    assert "is a run" in run("plan", "zoo", cwd=tmp_path, code=2).err
