"""Exit codes: one error document under --json, one sentence on stderr; signals to a real process."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from filelock import FileLock

from support.command import run_bench
from support.export_jobs import exports_in_process
from support.in_process import run
from support.json_schemas import assert_matches_schema

PLUGIN = """
import time
from pathlib import Path

import numpy as np
from benchdog.api import ExporterInfo, ModelInfo, SourceInfo, hookimpl

CONTRACT = 1

class Liar:
    def export(self, artifact, folder):
        (folder / "lie.txt").write_text("I am a model.")

class Runner:
    def __init__(self, folder):
        pass

    def __call__(self, *inputs):
        zeros = np.zeros((len(inputs[0]), 10), np.float32)
        return zeros, zeros

class Slow:
    def spec(self):
        Path("begun").touch()
        time.sleep(120)

    def open(self):
        return {}

@hookimpl
def benchdog_exporters():
    return [ExporterInfo(name="liar", summary="Lies.", target=":Liar", runner=":Runner")]

@hookimpl
def benchdog_models():
    return [ModelInfo(name="needy", summary="Needs what nobody has.", target=":x", requires=("no_such_package",))]

@hookimpl
def benchdog_sources():
    return [SourceInfo(name="slow", summary="Takes two minutes.", target=":Slow")]
"""
MINE = ("--plugin", "mine.py")
TABLE = {
    0: ("runs", "show", "digits"),
    1: ("evaluate", "held"),
    2: (*MINE, "train", "digits", "--model", "liar"),
    3: (*MINE, "train", "digits", "--model", "needy"),
    4: (*MINE, "export", "digits", "--to", "liar"),
    5: ("train", "gone.csv"),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, digits_run: Path) -> Path:
    """Return a folder with a plugin file and two runs."""
    place = tmp_path_factory.mktemp("codes")
    for name in ("digits", "held"):
        shutil.copytree(digits_run, place / "runs" / name)
    (place / "mine.py").write_text(PLUGIN, encoding="utf-8")
    return place


@pytest.mark.parametrize("code", TABLE)
def test_exit_code_and_error_document(place, code):
    start = run_bench if code == 2 else run  # one of them as the exit code of a process
    with FileLock(place / "runs" / "held" / "lock"), exports_in_process():
        result = start(*TABLE[code], "--json", "--quiet", cwd=place, code=code)
    if code == 0:
        assert result.err == ""
        return
    assert result.out.count("\n") == 1
    assert_matches_schema("error", result.json)
    assert result.json["error"]["code"] == code
    assert result.err.startswith(f"error: {result.json['error']['message']}\n")


@pytest.mark.skipif(os.name != "posix", reason="signals between processes are POSIX's")
@pytest.mark.parametrize(
    ("command", "number", "code"), [("plan", signal.SIGINT, 130), ("train", signal.SIGTERM, 143)]
)
def test_signal_exit_code_before_training_starts(place, command, number, code):
    """Before a run has started, and in commands that start none; between steps: training/test_stop_and_resume."""
    (place / "begun").unlink(missing_ok=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "benchdog", *MINE, command, "slow", "--json"],
        cwd=place,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    end = time.monotonic() + 60
    while not (place / "begun").exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == code, err
    assert "Traceback" not in err
    document = json.loads(out)
    assert_matches_schema("error", document)
    assert document["error"] == {"message": "Stopped.", "hint": "", "code": code}
    assert sorted(path.name for path in (place / "runs").iterdir()) == ["digits", "held"]
