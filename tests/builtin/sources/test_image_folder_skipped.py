"""Files and folders that an image folder skips: notes with a count and the first names."""

import numpy as np
from PIL import Image

from support.in_process import run


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
    assert f"note: Files that are not images, skipped: 9 ({names})." in stderr
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
    assert "Files that are not images, skipped: 1 (notes.txt)." in stderr
