"""The plugin's source and model pass the conformance kit."""

import os

import pytest
from hf_sentences import NAMES

from benchdog.testing import conforms

pytestmark = pytest.mark.slow

test_source_of_tables_conforms = conforms("source", "hf")
test_source_of_texts_conforms = conforms("source", "hf", options={"path": "places.jsonl", "length": 24})
test_model_with_its_own_head_conforms = conforms("model", "hf", options={"path": "tiny"})
test_model_with_mean_pooling_conforms = conforms("model", "hf", options={"path": "tiny", "head": "mean"})


@pytest.fixture(autouse=True)
def _names(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(NAMES) + os.pathsep + os.environ.get("PYTHONPATH", ""))
