"""Fixtures: a separate home, and a small data set of shapes."""

from __future__ import annotations

import os
import runpy
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "examples" / "projects" / "detection" / "make_data.py"


@pytest.fixture(scope="session", autouse=True)
def _isolate_home(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep the tests away from the user's own files."""
    home = tmp_path_factory.mktemp("home")
    for name, place in {"HOME": home, "USERPROFILE": home, "BENCHDOG_CACHE": home / "cache"}.items():
        os.environ[name] = str(place)
    os.environ["BENCHDOG_PLUGINS"] = "-tensorboard,-mlflow"  # they would track every run of these tests


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write 60 images of shapes; return the folder, with annotations.json and images/."""
    folder = tmp_path_factory.mktemp("shapes")
    runpy.run_path(str(SCRIPT))["write"](folder, 60)
    return folder
