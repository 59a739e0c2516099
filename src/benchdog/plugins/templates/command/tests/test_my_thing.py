"""The command keeps the contract, and lists what was trained."""

from pathlib import Path

import benchdog
import pytest
from benchdog.api import BadData
from benchdog.testing import conforms

from benchdog_my_thing.tensors import listed

test_conforms = conforms("command", "my-thing")


def test_the_tensors_of_a_run_are_listed(tmp_path: Path) -> None:
    run = benchdog.train("digits", model="linear", epochs=1, runs_dir=tmp_path, quiet=True)
    assert [10, 64] in [tensor["shape"] for tensor in listed(run.folder).values()]


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "artifact").mkdir()
    (tmp_path / "artifact" / "model.safetensors").write_bytes(b"short")
    with pytest.raises(BadData, match=r"model\.safetensors"):
        listed(tmp_path)
