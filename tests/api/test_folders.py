"""Finding files below a folder: links, loops, hidden and irregular files."""

import os
import sys

import pytest

from benchdog.api import BadData, find_files

needs_links = pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")


def fill(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)


def test_files_are_listed_by_folder_and_the_others_by_reason(tmp_path):
    fill(
        tmp_path,
        "b.PNG",
        "a.txt",
        "z/2.png",
        "z/1.png",
        "a/x.png",
        "a/b/y.png",
        ".git/x.png",
        "a/.y.png",
        "@eaDir/x.png",
    )
    found = find_files(tmp_path, (".png",), "not images")
    assert found.files == ["b.PNG", "a/x.png", "a/b/y.png", "z/1.png", "z/2.png"]
    assert found.folders == ["a", "z", "a/b"]
    assert found.skipped == {"hidden": [".git", "@eaDir", "a/.y.png"], "not images": ["a.txt"]}


@needs_links
def test_links_to_folders_are_followed_but_never_round_in_circles(tmp_path):
    fill(tmp_path, "store/1.png", "store/deep/2.png", "zoo/cat/0.png", "zoo/dog/0.png")
    (tmp_path / "zoo/cat/more").symlink_to("../../store")
    (tmp_path / "zoo/dog/more").symlink_to("../../store")
    (tmp_path / "zoo/cat/all").symlink_to("..")
    (tmp_path / "zoo/dog/above").symlink_to(tmp_path)
    (tmp_path / "zoo/dog/gone.png").symlink_to("nowhere.png")
    (tmp_path / "zoo/dog/self.png").symlink_to("self.png")
    found = find_files(tmp_path / "zoo", (".png",), "not images")
    more = [f"{name}/{file}" for name in ("cat", "dog") for file in ("0.png", "more/1.png", "more/deep/2.png")]
    assert found.files == more
    assert found.skipped == {
        "links to a folder that contains them": ["cat/all", "dog/above"],
        "broken links": ["dog/gone.png", "dog/self.png"],
    }


@needs_links
def test_links_that_multiply_are_bounded(tmp_path):
    for level in range(12):
        (tmp_path / f"{level}").mkdir()
        for number in range(3):
            (tmp_path / f"{level}" / f"l{number}").symlink_to(f"../{level + 1}")
    fill(tmp_path, "12/1.png")
    found = find_files(tmp_path / "0", (".png",), "not images")
    assert len(found.files) == 100
    assert found.skipped["links to a folder read too often"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_pipes_and_devices_are_no_files(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    assert find_files(tmp_path, (".png",), "other").skipped == {"not regular files": ["pipe.png", "zero.png"]}


def test_folder_that_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(BadData, match="nowhere can't be read: No such file"):
        find_files(tmp_path / "nowhere", (".png",), "other")
