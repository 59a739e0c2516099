"""Training without graph and report; `python -m support.bare train ...` runs it in a separate process."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

from benchdog import cli
from benchdog.evaluation import report
from benchdog.model import artifact


@contextmanager
def bare() -> Iterator[None]:
    """Write neither the portable graph nor the report after training: they take most of a small run's time."""
    with (
        mock.patch.object(artifact, "_write_graph", return_value="left out"),
        mock.patch.object(report, "write"),
    ):
        yield


if __name__ == "__main__":
    with bare():
        cli.main()
