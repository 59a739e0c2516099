"""Texts in folders: classes, given splits, and what is skipped."""

import os

import pytest

from benchdog.api import BadData
from benchdog.builtin.sources.options import TextOptions
from benchdog.builtin.sources.texts.text import Text
from support.in_process import run


def write(folder, *places, count=6):
    for place in places:
        (folder / place).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            (folder / place / f"{i}.txt").write_text(f"text {i} of {place}")


def opened(folder, **options):
    source = Text(TextOptions(path=folder, **options))
    splits = source.open()
    ids = {name: {split.id(i) for i in range(len(split))} for name, split in splits.items()}
    return source, ids


def test_folders_named_like_splits_are_the_splits(tmp_path):
    write(tmp_path, "Training/neg", "Training/pos", "Testing/neg", "Testing/pos")
    (tmp_path / "README.txt").write_text("not a sample")
    source, ids = opened(tmp_path)
    assert source.spec().target.classes == ("neg", "pos")
    assert ids["test"] == {f"Testing/{name}/{i}.txt" for name in ("neg", "pos") for i in range(6)}
    assert len(ids["train"]) + len(ids["valid"]) == 12
    assert source.counts.skipped == {"outside the splits": 1}
    assert source.seen == {}


def test_texts_in_two_given_splits_are_counted_and_missing_classes_named(tmp_path):
    write(tmp_path, "train/neg", "train/pos", "train/odd", "val/neg", "test/neg", "test/pos")
    (tmp_path / "test/pos/0.txt").write_text("text 1 of train/pos\n")
    source, _ = opened(tmp_path)
    assert source.seen == {"test": 1}
    assert "Class 'odd' has 6 texts: none in valid and test." in source.notes
    write(tmp_path, "test/new")
    with pytest.raises(BadData, match="no training text of the class new"):
        opened(tmp_path)


@pytest.mark.parametrize(
    ("places", "message"),
    [
        (["A/neg", "A/pos", "B/neg", "B/pos"], "A and B in .* have the same folders within"),
        (["train", "test"], "6 texts are in .*test itself"),
        (["dev/neg", "test/neg"], "there is no training split"),
    ],
)
def test_folders_that_may_be_splits_are_refused(tmp_path, places, message):
    write(tmp_path, *places)
    with pytest.raises(BadData, match=message):
        opened(tmp_path)
    opened(tmp_path, folders="ignore", length=4)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="neither pipes nor links there")
def test_every_file_of_a_messy_folder_is_used_or_skipped_for_a_reason(tmp_path):
    write(tmp_path, "zoo/cat", "zoo/dog", "store", count=12)
    (tmp_path / "zoo/cat/more").symlink_to(tmp_path / "store")
    (tmp_path / "zoo/cat/loop").symlink_to(tmp_path)
    (tmp_path / "zoo/dog/gone.txt").symlink_to("nowhere.txt")
    os.mkfifo(tmp_path / "zoo/dog/pipe.txt")
    for name in ("page.html", ".hidden.txt", "list.csv"):
        (tmp_path / "zoo/dog" / name).write_text("x")
    read = run("data", "info", "text", "--set", "path=zoo", "--json", cwd=tmp_path).json["read"]
    assert read == {
        "unit": "files", "found": 42, "used": 36,
        "skipped": {
            "hidden": 1, "broken links": 1, "not .txt files": 2, "not regular files": 1,
            "links to a folder that contains them": 1,
        },
    }  # fmt: skip
