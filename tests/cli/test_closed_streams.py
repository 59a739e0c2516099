"""Commands without usable standard streams: what would be printed is lost, the work isn't."""

import io
import json
import os
import subprocess
import sys
from unittest import mock

import pytest

from benchdog import cli
from benchdog.system.json_output import Lines
from support.bare import bare

QUICK = ["train", "digits", "--model", "linear", "--epochs", "1"]
posix = pytest.mark.skipif(os.name != "posix", reason="runs a POSIX shell")
FULL = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")  # noqa: PTH110


class Broken(io.StringIO):
    """A stream whose reader is gone, or whose disk is full."""

    def write(self, text):
        raise BrokenPipeError(32, "Broken pipe")


def status(folder):
    return json.loads((folder / "run.json").read_text(encoding="utf-8"))["status"]


@pytest.mark.parametrize("streams", [(None, None), (io.StringIO(), Broken()), (Broken(), None)])
def test_training_without_usable_streams_finishes(tmp_path, monkeypatch, streams):
    """As under pythonw, as a daemon, and after the terminal was closed."""
    monkeypatch.chdir(tmp_path)
    out, err = streams
    lost = mock.patch.multiple(sys, stdout=out, stderr=err)
    with bare(), lost, pytest.raises(SystemExit) as ended:
        cli.main([*QUICK, "--name", "lost"])
    assert ended.value.code == 0
    assert status(tmp_path / "runs" / "lost") == "finished"


def test_events_to_a_full_disk_do_not_end_a_run():
    class Full(io.StringIO):
        def write(self, text):
            tried.append(text)
            raise OSError(28, "No space left on device")

    tried: list[str] = []
    lines = Lines(Full())
    lines.write("{}\n")
    lines.write("{}\n")
    assert tried == ["{}\n"]  # nothing is written after the first failure


@posix
def test_closed_descriptors_are_not_taken_by_files(tmp_path):
    """Else the next file would be number 1, and what a library prints would be written into it."""
    code = (
        "from benchdog.system.streams import open_missing; open_missing(); "
        "file = open('kept', 'w'); assert file.fileno() > 2; print('lost'); file.write('kept')"
    )
    command = f'exec "$0" -c "{code}" <&- >&- 2>&-'
    assert subprocess.run(["sh", "-c", command, sys.executable], cwd=tmp_path, check=False).returncode == 0
    assert (tmp_path / "kept").read_text(encoding="utf-8") == "kept"


@posix
def test_command_with_closed_stdout_succeeds(tmp_path):
    command = 'exec "$0" -m benchdog runs list >&-'
    done = subprocess.run(["sh", "-c", command, sys.executable], cwd=tmp_path, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr


@posix
@FULL
def test_full_disk_on_stdout_is_one_sentence(tmp_path):
    command = 'exec "$0" -m benchdog new digits >/dev/full'
    done = subprocess.run(["sh", "-c", command, sys.executable], cwd=tmp_path, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 1
    assert b"Standard output can't be written: No space left on device" in done.stderr
    assert b"Traceback" not in done.stderr
