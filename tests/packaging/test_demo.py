"""`make demo`: the commands it shows and the files it writes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

DEMO = Path(__file__).parents[2] / "scripts" / "demo.py"


@pytest.mark.slow
def test_demo_runs_to_completion(tmp_path):
    argv = [sys.executable, DEMO, tmp_path]
    env = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(argv, capture_output=True, text=True, encoding="utf-8", env=env, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for command in ("train digits", "evaluate last", "predict last", "export last"):
        assert f"$ benchdog {command}" in done.stdout
    (run,) = (tmp_path / "runs").iterdir()
    assert str(run / "report.html") in done.stdout
    for export in (run / "exports").iterdir():
        report = json.loads((export / "export.json").read_text(encoding="utf-8"))
        assert all(line["ok"] for line in report["verification"])
    evaluated = json.loads((run / "evaluation-test.json").read_text(encoding="utf-8"))
    assert evaluated["metrics"]["accuracy"] > 0.95
