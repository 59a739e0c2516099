"""timm where it can be imported here: with a torchvision built for another torch it can't without two names."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

NAMES = Path(__file__).parents[3] / "tests" / "support" / "names"
"""Put on the path, it defines the operators that torchvision's Python code asks for, before that is imported."""
sys.path.insert(0, str(NAMES))

import torchvision_names  # noqa: E402

torchvision_names.define_at_import()


@pytest.fixture(scope="session", autouse=True)
def _at_home(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep the tests away from the user's own files."""
    home = tmp_path_factory.mktemp("home")
    for name, place in {"HOME": home, "USERPROFILE": home, "HF_HOME": home, "BENCHDOG_CACHE": home / "cache"}.items():
        os.environ[name] = str(place)


@pytest.fixture(scope="session")
def bench() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run `benchdog ...` in a process of its own."""

    def run(*args: object, cwd: Path, code: int = 0, names: bool = True) -> subprocess.CompletedProcess[str]:
        path = os.pathsep.join(filter(None, [str(NAMES) if names else "", os.environ.get("PYTHONPATH", "")]))
        command = [sys.executable, "-m", "benchdog", *map(str, args)]
        done = subprocess.run(
            command, cwd=cwd, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True,
            encoding="utf-8", timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr, done.stderr
        return done

    return run
