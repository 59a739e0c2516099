"""Notebook guide: its cells run in order, its install commands work in a running Python."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
import venv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import benchdog

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "guides" / "notebooks.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def host(tmp_path, monkeypatch):
    """Return a working directory with a mounted drive that holds photos."""
    rng = np.random.default_rng(0)
    for number in range(40):
        folder = tmp_path / "made" / ("dark" if number % 2 else "bright")
        folder.mkdir(parents=True, exist_ok=True)
        low = 0 if number % 2 else 160
        Image.fromarray(rng.integers(low, low + 90, (16, 16), np.uint8)).save(folder / f"{number}.png")
    (tmp_path / "drive").mkdir()
    shutil.make_archive(str(tmp_path / "drive" / "photos"), "zip", tmp_path / "made")
    monkeypatch.chdir(tmp_path)
    for name in ("BENCHDOG_RUNS", "BENCHDOG_CACHE", "BENCHDOG_STATE"):
        monkeypatch.setenv(name, "")  # restores what the page sets
        monkeypatch.delenv(name)
    return tmp_path


@pytest.mark.slow
def test_notebook_guide_cells_run_in_order(host):
    names: dict[str, Any] = {}
    for language, text in BLOCKS:
        if language != "python":
            continue
        if text.startswith("# my_nets.py"):
            Path("my_nets.py").write_text(text, encoding="utf-8")
        else:
            exec(compile(text, "notebooks.md", "exec"), names)
    assert (host / "runs").is_dir(), "before the page names a folder that stays"
    kept = host / "drive" / "runs" / "kept"
    assert benchdog.load("kept").folder == kept
    assert names["own"].metrics["accuracy"] > 0.1
    assert names["run"].facts["source"] == "image-folder"


INSTALL = """
    import importlib.util, os, subprocess, sys

    assert importlib.util.find_spec("benchdog") is None
    for line in {lines!r}:
        subprocess.run(line, shell=True, check=True)
    importlib.invalidate_caches()
    import benchdog

    print(benchdog.__version__, benchdog.__file__)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="the lines are a POSIX shell's, as hosts have it")
def test_notebook_guide_install_lines_work_in_a_running_python(tmp_path):
    home = tmp_path / "host"
    venv.create(home, with_pip=False)
    # the host's packages are this environment's, except Benchdog, which is installed there as links
    site = next(home.rglob("site-packages"))
    here = [path for path in sys.path if path.endswith("site-packages")]
    (site / "others.pth").write_text("\n".join(here), encoding="utf-8")
    (text,) = (text for language, text in BLOCKS if language == "sh" and "pip install" in text)
    lines = text.replace("<this repository>", shlex.quote(str(ROOT))).splitlines()
    script = textwrap.dedent(INSTALL).format(lines=lines)
    env = {
        **os.environ,
        "PATH": f"{home / 'bin'}:{os.environ['PATH']}",
        "PIP_NO_BUILD_ISOLATION": "false",
        "BENCHDOG_PLUGINS": "onnx",  # the other plugins' metadata is in this environment, without their links
    }
    done = subprocess.run(
        [home / "bin" / "python", "-c", script], capture_output=True, text=True, cwd=tmp_path, env=env, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    version, place = done.stdout.splitlines()[-1].split()
    assert version == benchdog.__version__
    assert str(site) in place
