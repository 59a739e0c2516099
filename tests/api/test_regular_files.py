"""Reading regular files alone, up to a size."""

import os
import sys

import pytest

from benchdog.api import open_regular, read_regular


def test_regular_file_is_read_up_to_the_limit(tmp_path):
    (tmp_path / "a").write_bytes(b"12345")
    assert read_regular(tmp_path / "a", 5) == b"12345"
    with open_regular(str(tmp_path / "a"), 5) as file:
        assert file.read(2) == b"12"
    with pytest.raises(OSError, match="it has 5 bytes, more than the 4 that are read"):
        read_regular(tmp_path / "a", 4)


def test_sparse_file_of_gigabytes_is_refused_without_reading_it(tmp_path):
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(50 * 2**30)
    with pytest.raises(OSError, match="53,687,091,200 bytes"):
        read_regular(tmp_path / "sparse", 2**30)


@pytest.mark.skipif(sys.platform == "win32", reason="no such files there")
@pytest.mark.parametrize(
    ("name", "what"), [("pipe", "a named pipe"), ("/dev/zero", "a device"), ("link", "a device")]
)
def test_pipes_and_devices_are_refused_at_once(tmp_path, name, what):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/zero")
    with pytest.raises(OSError, match="not a regular file") as caught:
        read_regular(tmp_path / name, 100)
    assert caught.value.strerror == f"it is {what}, not a regular file"


@pytest.mark.skipif(not os.path.exists("/proc/self/maps"), reason="no /proc here")  # noqa: PTH110
def test_file_without_a_size_is_read_up_to_the_limit():
    with pytest.raises(OSError, match="more than the 10 that are read"):
        read_regular("/proc/self/maps", 10)


def test_folder_and_missing_file_raise_their_usual_errors(tmp_path):
    with pytest.raises(IsADirectoryError):
        read_regular(tmp_path, 10)
    with pytest.raises(FileNotFoundError):
        read_regular(tmp_path / "gone", 10)
