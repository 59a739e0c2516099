"""Leakage: held-out samples that are also in train are reported."""

import json

import numpy as np
import pytest
from PIL import Image

from support.in_process import run

pytestmark = pytest.mark.usefixtures("weights_alone")

QUICK = ("--model", "linear", "--epochs", 1)
TEST = "90 of 90 test samples are also in train or valid: the test looks better than it is."


@pytest.fixture
def zoo(tmp_path):
    """Return a folder whose train/ has 90 images, and test/ the same."""
    draw = np.random.default_rng(0)
    for i in range(90):
        pixels = draw.integers(0, 256, (8, 8, 3), np.uint8)
        for split in ("train", "test"):
            place = tmp_path / "zoo" / split / ("cat", "dog")[i % 2]
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(place / f"{i}.png")
    return tmp_path


@pytest.mark.usefixtures("graph_and_report")
def test_test_images_that_are_copies_of_training_images_are_reported(zoo):
    assert TEST in run("plan", "./zoo", cwd=zoo).err
    assert TEST in run("data", "info", "image-folder", "--set", "path=zoo", cwd=zoo).err
    assert TEST in run("train", "./zoo", *QUICK, "--name", "zoo", cwd=zoo).err
    facts = json.loads((zoo / "runs" / "zoo" / "run.json").read_text())
    assert facts["seen"] == {"test": 90}  # valid is cut from train by content: none of its images is in the rest
    result = run("evaluate", "zoo", cwd=zoo)
    assert "test samples are also in train" in result.err
    assert "test samples are also in train" in (zoo / "runs" / "zoo" / "report.html").read_text()
    assert run("evaluate", "zoo", "--json", cwd=zoo).json["notes"]


def test_duplicate_images_are_kept_in_one_split(zoo):
    (zoo / "zoo" / "test").rename(zoo / "other")
    for path in (zoo / "other").rglob("*.png"):
        path.rename(zoo / "zoo" / "train" / path.parent.name / f"copy-{path.name}")
    stderr = run("plan", "zoo/train", cwd=zoo).err
    assert "also in train" not in stderr
    assert "90 duplicate images, pixel by pixel; kept in one split." in stderr


@pytest.mark.parametrize("by", ["group", "time"])
def test_duplicate_rows_across_group_or_time_splits_are_reported(tmp_path, by):
    draw = np.random.default_rng(0)
    lines = ["day,a,b,kind", *(f"{i // 4},{i % 3},{i % 2},{'uv'[draw.integers(2)]}" for i in range(200))]
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    settings = ("--set", f"source.{by}=day", *(("--set", 'source.drop=["day"]') if by == "time" else ()))
    result = run("plan", "t.csv", *settings, cwd=tmp_path, code=None)
    assert "test samples are also in train" in result.err
    assert "also in train" not in run("plan", "t.csv", "--set", 'source.drop=["day"]', cwd=tmp_path).err
