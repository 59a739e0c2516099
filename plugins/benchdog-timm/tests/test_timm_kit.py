"""The plugin's model passes Benchdog's own kit of checks."""

import os
from pathlib import Path

import pytest

from benchdog.testing import conforms

NAMES = Path(__file__).parents[3] / "tests" / "support" / "names"
pytestmark = pytest.mark.slow

test_a_convolutional_net = conforms("model", "timm", options={"net": "test_resnet"})
test_a_net_of_one_size = conforms("model", "timm", options={"net": "test_vit", "drop_path": 0.1})


@pytest.fixture(autouse=True)
def _names(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(NAMES) + os.pathsep + os.environ.get("PYTHONPATH", ""))
