"""The plugin's model passes the conformance kit."""

import os
from pathlib import Path

import pytest

from benchdog.testing import conforms

NAMES = Path(__file__).parents[3] / "tests" / "support" / "names"
pytestmark = pytest.mark.slow

test_convolutional_network_conforms = conforms("model", "timm", options={"net": "test_resnet"})
test_network_of_fixed_image_size_conforms = conforms("model", "timm", options={"net": "test_vit", "drop_path": 0.1})


@pytest.fixture(autouse=True)
def _names(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(NAMES) + os.pathsep + os.environ.get("PYTHONPATH", ""))
