"""Fixtures; timm is made importable with a torchvision built for another torch, which lacks two operators."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

NAMES = Path(__file__).parents[3] / "tests" / "support" / "names"
"""Folder that, on the path, defines the operators torchvision's Python code looks up when it is imported."""
sys.path.insert(0, str(NAMES))

import torchvision_names  # noqa: E402

torchvision_names.define_at_import()


@pytest.fixture(scope="session", autouse=True)
def _isolate_home(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep the tests away from the user's own files."""
    home = tmp_path_factory.mktemp("home")
    for name, place in {"HOME": home, "USERPROFILE": home, "HF_HOME": home, "BENCHDOG_CACHE": home / "cache"}.items():
        os.environ[name] = str(place)
    os.environ["BENCHDOG_PLUGINS"] = "-tensorboard,-mlflow"  # they would track every run of these tests


@pytest.fixture
def without_timm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make importing timm fail as if it weren't installed."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "timm"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "timm", None)
