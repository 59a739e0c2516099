"""Layouts of image folders: classes, splits by all their names, and what looks like splits and isn't certain."""

import json

import numpy as np
import pytest
from PIL import Image

from benchdog.api import BadData
from benchdog.builtin.sources.images.folder import ImageFolder
from benchdog.builtin.sources.layout import split_names
from benchdog.builtin.sources.options import ImageFolderOptions
from support.in_process import run

pytestmark = pytest.mark.usefixtures("weights_alone")


def paint(folder, *places, count=4):
    """Write images that are all different into folders."""
    for place in places:
        (folder / place).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            draw = np.random.default_rng([i, *f"{place}".encode()])
            Image.fromarray(draw.integers(0, 256, (4, 4), np.uint8)).save(folder / place / f"{i}.png")


def opened(folder, **options):
    """Return the classes, and by split the top folders that its images are in."""
    source = ImageFolder(ImageFolderOptions(path=folder, **options))
    splits = source.open()
    return source.spec().target.classes, splits, source


@pytest.mark.parametrize(
    ("train", "valid", "test"),
    [
        ("train", "valid", "test"),
        ("Training", "Validation", "Testing"),
        ("TRAIN", "VAL", "TEST"),
        ("training_set", "dev_set", "test_set"),
        ("seg_train/seg_train", "seg_dev/seg_dev", "seg_test/seg_test"),
        ("train2017", "val2017", "test2017"),
        ("01-train", "02-eval", "03-holdout"),
        ("flowers_train", "flowers_val", "flowers_test"),
        ("images/train", "images/val", "images/test"),
        ("train_images", "val_images", "test_images"),
        ("trainset", "valset", "testset"),
        ("zoo/zoo/train", "zoo/zoo/val", "zoo/zoo/test"),
        ("train/images", "val/images", "test/images"),
    ],
)
def test_folders_named_like_splits_are_the_splits(tmp_path, train, valid, test):
    names = {"train": train, "valid": valid, "test": test}
    for name in names.values():
        paint(tmp_path, f"{name}/cat", f"{name}/dog")
    classes, splits, _ = opened(tmp_path)
    assert classes == ("cat", "dog")
    for split, name in names.items():
        assert {image.path.rsplit("/", 2)[0] for image in splits[split].images} == {name}


def test_class_of_vehicles_may_be_named_train(tmp_path):
    paint(tmp_path, "train", "bus", "car", count=8)
    assert opened(tmp_path)[0] == ("bus", "car", "train")
    paint(tmp_path, "steam_train", "bus", count=8)
    assert opened(tmp_path)[0] == ("bus", "car", "steam_train", "train")


@pytest.mark.parametrize(
    ("places", "message", "remedy"),
    [
        (["A/cat", "A/dog", "B/cat", "B/dog"], "A and B in .* same folders within .cat and dog.", "Name them train"),
        (["cat/train", "cat/test", "dog/train", "dog/test"], "cat and dog .*same folders", "test/cat, test/dog"),
        (["x/cat", "x/dog", "cat", "dog"], "x in .* holds folders named like those next to it", "move it away"),
        (["trainA", "trainB", "testA", "testB"], "testA and testB in .*same split, test", "into one"),
        (["val/cat", "val/dog", "test/cat", "test/dog"], "there is no training split", "Name it train"),
        (["train/cat", "train/dog", "more/cat", "more/dog"], "the training split, or a class like more", "splits"),
        (["train/cat", "train/dog", "test/cat", "test1/cat"], "test and test1 .*same split, test", "into one"),
        (["train", "test"], "4 images are in .*test itself", "folder per class"),
        (["images", "masks"], "images and masks in .* are not classes", "plugins new source"),
        (["train/images", "train/labels", "val/images"], "images and labels in .*train are not", "source.labels"),
        (["imagesTr", "labelsTr", "imagesTs"], "imagesTr and labelsTr in .* are not classes", "Segmentation"),
    ],
)  # fmt: skip
def test_folders_that_may_be_splits_or_pairs_are_refused(tmp_path, places, message, remedy):
    paint(tmp_path, *places)
    with pytest.raises(BadData, match=message) as caught:
        opened(tmp_path)
    assert remedy in caught.value.hint


def test_boxes_next_to_images_are_refused(tmp_path):
    paint(tmp_path, "images/train", "images/val")
    (tmp_path / "labels" / "train").mkdir(parents=True)
    (tmp_path / "labels" / "train" / "0.txt").write_text("0 0.5 0.5 0.1 0.1")
    with pytest.raises(BadData, match=r"images and labels in .* are not classes"):
        opened(tmp_path)


def test_option_says_what_the_folders_are(tmp_path):
    paint(tmp_path, "inside/left", "inside/right", "outside/left", "outside/right")
    assert opened(tmp_path, folders="classes")[0] == ("inside", "outside")
    paint(tmp_path / "more", "train/cat", "train/dog", "bonus/cat", count=9)
    classes, _, source = opened(tmp_path / "more", folders="splits")
    assert classes == ("cat", "dog")
    assert "Folders next to those of the splits, skipped: 1 (bonus)." in source.notes
    assert source.counts.skipped == {"outside the splits": 9}
    with pytest.raises(BadData, match="no folder that is named like the training split but inside, more, outside"):
        opened(tmp_path, folders="splits")


def test_folder_around_all_others_is_entered_with_a_note(tmp_path):
    paint(tmp_path, "archive/zoo/cat", "archive/zoo/dog")
    classes, _, source = opened(tmp_path)
    assert classes == ("cat", "dog")
    assert source.notes == [f"All images are in {tmp_path / 'archive/zoo'}: the folders in it are used."]


def test_splits_need_the_same_filler_or_a_common_name():
    assert split_names(["steam_train", "bus"]) == {}
    assert split_names(["cats-train", "cats-test", "other"]) == {"cats-train": "train", "cats-test": "test"}
    assert split_names(["x_train", "X_val", "hold-out"]) == {"x_train": "train", "X_val": "valid", "hold-out": "test"}
    assert split_names(["tests", "trainers", "evaluation train", "validate"]) == {}


def test_plan_shows_the_classes_within_the_splits(tmp_path):
    paint(tmp_path / "brain", "Training/cat", "Training/dog", "Testing/cat", "Testing/dog")
    document = json.loads(run("plan", "./brain", "--json", cwd=tmp_path).out)
    lines = {line["what"]: line["found"] for line in document["lines"]}
    assert "test 8" in lines["samples"]
    assert lines["target"] == "class 'class', 2 classes"
