"""timm where it can be imported here: with a torchvision built for another torch it can't without two names."""

from __future__ import annotations

import os
import sys
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
    os.environ["BENCHDOG_PLUGINS"] = "-tensorboard,-mlflow"  # they would watch each of the runs here


@pytest.fixture
def without_timm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make timm look as if it weren't installed."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "timm"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "timm", None)
