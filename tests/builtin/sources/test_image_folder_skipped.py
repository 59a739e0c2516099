"""Files and folders that an image folder skips: notes with a count and the first names."""

import json
import os

import numpy as np
import pytest
from PIL import Image

from support.in_process import run, train

pytestmark = pytest.mark.usefixtures("weights_alone")


def fill(place):
    draw = np.random.default_rng(0)
    for i in range(40):
        folder = place / ("cat", "dog")[i % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw.integers(0, 256, (8, 8, 3), np.uint8)).save(folder / f"{i}.png")


def test_empty_class_folders_and_files_that_are_not_images_are_noted(tmp_path):
    fill(tmp_path / "zoo")
    assert "note" not in run("plan", "./zoo", cwd=tmp_path).err
    (tmp_path / "zoo" / "hamster").mkdir()
    (tmp_path / "zoo" / "mouse").mkdir()
    (tmp_path / "zoo" / "mouse" / "1.heic").write_bytes(b"x")
    for i in range(7):
        (tmp_path / "zoo" / "cat" / f"{i}.txt").write_text("a cat")
    (tmp_path / "zoo" / "ReadMe").write_text("animals")
    stderr = run("plan", "./zoo", cwd=tmp_path).err
    names = "ReadMe, cat/0.txt, cat/1.txt, cat/2.txt, cat/3.txt and 4 more"
    assert f"note: Skipped, not images: 9 ({names})." in stderr
    assert "note: Class folders without an image: 2 (hamster, mouse)." in stderr
    assert "2 classes" in run("plan", "./zoo", cwd=tmp_path).out


def test_folders_and_files_next_to_split_folders_are_noted(tmp_path):
    for split in ("train", "test", "more"):
        fill(tmp_path / "zoo" / split)
    (tmp_path / "zoo" / "train" / "bird").mkdir()
    (tmp_path / "zoo" / "notes.txt").write_text("x")
    stderr = run("plan", "./zoo", cwd=tmp_path).err
    assert "Class folders without an image: 1 (train/bird)." in stderr
    assert "Folders next to those of the splits, skipped: 1 (more)." in stderr
    assert "Skipped, not images: 1 (notes.txt)." in stderr


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="neither pipes nor links there")
def test_every_file_of_a_messy_folder_is_used_or_skipped_for_a_reason(tmp_path):
    zoo = tmp_path / "zoo"
    fill(zoo)
    fill(tmp_path / "store")
    (zoo / "cat" / "more").symlink_to(tmp_path / "store" / "cat")
    (zoo / "cat" / "loop").symlink_to(zoo)
    (zoo / "cat" / "gone.png").symlink_to("nowhere.png")
    (zoo / "cat" / "zero.png").symlink_to("/dev/zero")
    os.mkfifo(zoo / "dog" / "pipe.png")
    for name in ("a.heic", "b.avif", ".DS_Store", "._0.png"):
        (zoo / "dog" / name).write_bytes(b"x")
    (zoo / "dog" / "torn.png").write_bytes(b"\x89PNG torn")
    (zoo / "__MACOSX").mkdir()
    (zoo / "README.md").write_text("animals")
    skipped = {
        "not images": 3, "hidden": 3, "broken links": 1, "not regular files": 2,
        "links to a folder that contains them": 1, "damaged": 1,
    }  # fmt: skip
    document = run("data", "info", "./zoo", "--set", "bad=skip", "--json", cwd=tmp_path).json
    assert document["read"] == {"unit": "files", "found": 71, "used": 60, "skipped": skipped}
    assert sum(document["samples"].values()) == 60
    shown = run("plan", "./zoo", "--set", "source.bad=skip", cwd=tmp_path).err
    assert "note: Read 60 of 71 files: 3 not images, 3 hidden, " in shown
    assert "note: Skipped, not regular files: 2 (cat/zero.png, dog/pipe.png)." in shown


def test_images_that_a_file_of_labels_does_not_list_are_counted(tmp_path):
    fill(tmp_path / "zoo")
    lines = [f"{name}/{i}.png,{name},{int(i > 3)}" for name, at in (("cat", 0), ("dog", 1)) for i in range(at, 30, 2)]
    (tmp_path / "labels.csv").write_text("\n".join(["path,label,weight", *lines]))
    options = [f"--set={each}" for each in ("labels=labels.csv", "weight=weight")]
    read = run("data", "info", "./zoo", *options, "--json", cwd=tmp_path).json["read"]
    assert read["skipped"] == {"of weight 0": 4, "not listed in labels.csv": 10}
    assert (read["found"], read["used"]) == (40, 26)


def test_run_stores_what_was_skipped(tmp_path):
    fill(tmp_path / "zoo")
    (tmp_path / "zoo" / "cat" / "a.heic").write_bytes(b"x")
    shown = train("./zoo", "--model", "linear", "--epochs", 1, "--name", "r", cwd=tmp_path).err
    assert "note: Read 40 of 41 files: 1 not images." in shown
    stored = json.loads((tmp_path / "runs" / "r" / "run.json").read_text())
    assert stored["read"] == {"unit": "files", "found": 41, "used": 40, "skipped": {"not images": 1}}
