"""The trainer conforms to the contract and trains."""

from pathlib import Path

import benchdog
from benchdog.testing import conforms

test_conforms = conforms("trainer", "plain-sgd")


def test_trainer_learns_digits(tmp_path: Path) -> None:
    run = benchdog.train("digits", trainer="plain-sgd", epochs=3, runs_dir=tmp_path, quiet=True)
    assert run.metrics["accuracy"] > 0.8
