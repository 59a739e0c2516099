"""The plugin's parts pass Benchdog's own kit of checks."""

import os

import pytest
from hf_made import NAMES

from benchdog.testing import conforms

pytestmark = pytest.mark.slow

test_the_source_reads_tables = conforms("source", "hf")
test_the_source_reads_texts = conforms("source", "hf", options={"path": "places.jsonl", "length": 24})
test_the_model = conforms("model", "hf", options={"path": "tiny"})
test_the_model_with_a_mean = conforms("model", "hf", options={"path": "tiny", "head": "mean"})


@pytest.fixture(autouse=True)
def _names(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(NAMES) + os.pathsep + os.environ.get("PYTHONPATH", ""))
