"""The observer conforms to the contract and records events."""

from pathlib import Path

import benchdog
from benchdog.testing import conforms

test_conforms = conforms("observer", "diary")


def test_run_has_diary(tmp_path: Path) -> None:
    benchdog.train("digits", model="linear", epochs=2, name="first", runs_dir=tmp_path, quiet=True)
    lines = (tmp_path / "first" / "diary.txt").read_text(encoding="utf-8").splitlines()
    assert [line.split(" ", 1)[1].split(":")[0] for line in lines] == [
        "first",
        "epoch 1",
        "epoch 2",
        "first is finished",
    ]
