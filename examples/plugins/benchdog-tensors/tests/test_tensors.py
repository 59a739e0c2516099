"""The command conforms to the contract and lists the tensors of a run."""

from pathlib import Path

import benchdog
import pytest
from benchdog.api import BadData
from benchdog.testing import conforms

from benchdog_tensors.tensors import listed

test_conforms = conforms("command", "tensors")


def test_command_lists_tensors_of_run(tmp_path: Path) -> None:
    run = benchdog.train("digits", model="linear", epochs=1, runs_dir=tmp_path, quiet=True)
    assert [10, 64] in [tensor["shape"] for tensor in listed(run.folder).values()]


def test_damaged_file_is_reported(tmp_path: Path) -> None:
    (tmp_path / "artifact").mkdir()
    (tmp_path / "artifact" / "model.safetensors").write_bytes(b"short")
    with pytest.raises(BadData, match=r"model\.safetensors"):
        listed(tmp_path)
