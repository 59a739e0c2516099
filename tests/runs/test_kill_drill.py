"""A short kill drill: all six recipes, killed a few times each."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from support import fork_server

SCRIPT = Path(__file__).parents[2] / "scripts" / "kill_drill.py"


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="kills as POSIX does")
def test_kill_drill_runs_are_bit_identical():
    # Each recipe's own number of epochs leaves room for 18 kills; three need less.
    with fork_server.serving(weights_alone=True) as programs:
        short = ["--kills", "3", "--epochs", "5"]
        command = [sys.executable, str(SCRIPT), *short, "--benchdog", str(programs / "benchdog")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=1200)
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 6
    assert all(line.endswith("the same bits") for line in lines)
    assert sum(int(re.split(r" +", line)[1]) for line in lines) >= 12
