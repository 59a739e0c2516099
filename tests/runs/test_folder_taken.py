"""A run whose folder is taken away ends with the truth; nothing is written in its place. Killed exports are swept."""

import json
import os
from pathlib import Path

import pytest

from benchdog.errors import Failed
from benchdog.system import files
from benchdog.system.files import fresh_folder
from support.in_process import run
from support.stalling import network

pytestmark = pytest.mark.usefixtures("weights_alone")

TAKE = """
import os
import shutil
from pathlib import Path


def take(folder, how):
    if how == "never":
        return
    if how == "removed":
        shutil.rmtree(folder)
    else:
        folder.rename("runs/elsewhere")
    if how == "replaced":
        shutil.copytree("runs/elsewhere", folder)

"""
NET = network(TAKE, 'if self.training and self.steps == 20:\n    take(Path("runs/busy"), os.environ["TAKEN"])')
COMMAND = ("train", "digits", "--model", "net.py:Net", "--epochs", 3, "--batch-size", 64, "--name", "busy")


@pytest.mark.parametrize("how", ["removed", "moved", "replaced"])
def test_run_whose_folder_is_taken_away_fails_and_writes_no_more(tmp_path, how):
    (tmp_path / "net.py").write_text(NET, encoding="utf-8")
    result = run(*COMMAND, cwd=tmp_path, code=1, env={"TAKEN": how})
    assert "runs/busy was removed, moved or replaced" in result.err
    assert "Traceback" not in result.err
    left = {"removed": [], "moved": ["elsewhere"], "replaced": ["busy", "elsewhere"]}[how]
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == left
    if how == "replaced":
        assert json.loads((tmp_path / "runs" / "busy" / "run.json").read_text())["status"] == "running"
        assert not (tmp_path / "runs" / "busy" / "artifact").exists()
    if how == "moved":
        run("train", "--resume", "elsewhere", "--quiet", cwd=tmp_path, env={"TAKEN": "never"})
        assert json.loads((tmp_path / "runs" / "elsewhere" / "run.json").read_text())["status"] == "finished"


def test_guarded_folder_is_not_made_again(tmp_path):
    def gone():
        raise Failed("It is gone.")

    files.guard(tmp_path / "run", gone)
    try:
        with pytest.raises(Failed, match="gone"):
            files.write_text(tmp_path / "run" / "deep" / "a.txt", "a")
        with pytest.raises(Failed, match="gone"), fresh_folder(tmp_path / "run" / "artifact"):
            pass
    finally:
        files.unguard(tmp_path / "run")
    assert not (tmp_path / "run").exists()
    files.write_text(tmp_path / "run" / "a.txt", "a")


def test_what_a_killed_export_left_is_swept_by_the_next(tmp_path):
    host = files._owner().split("-")[0]
    dead = next(number for number in range(4_000_000, 5_000_000) if not Path(f"/proc/{number}").exists())
    for name in (f".onnx.{host}-{dead}.abc", f".onnx.{host}-{os.getppid()}.abc", f".onnx.ffffff-{dead}.abc"):
        (tmp_path / name).mkdir()
    with fresh_folder(tmp_path / "onnx") as folder:
        (folder / "model").write_text("new", encoding="utf-8")
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == sorted([f".onnx.{host}-{os.getppid()}.abc", f".onnx.ffffff-{dead}.abc", "onnx"])


def test_export_that_was_moved_away_by_a_killed_process_comes_back(tmp_path):
    host = files._owner().split("-")[0]
    (tmp_path / f".onnx.{host}-4999999.old").mkdir()
    (tmp_path / f".onnx.{host}-4999999.old" / "model").write_text("old", encoding="utf-8")
    with pytest.raises(ZeroDivisionError), fresh_folder(tmp_path / "onnx"):
        raise ZeroDivisionError
    assert (tmp_path / "onnx" / "model").read_text(encoding="utf-8") == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["onnx"]
