"""Training without graph and report; `python -m support.bare train ...` runs it in a separate process."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

from benchdog import cli
from benchdog.evaluation import report
from benchdog.model import artifact

WRITERS = (artifact._write_graph, report.write)


@contextmanager
def bare() -> Iterator[None]:
    """Write neither the portable graph nor the report after training: they take most of a small run's time."""
    with without_graph(), mock.patch.object(report, "write"):
        yield


@contextmanager
def without_graph() -> Iterator[None]:
    """Write the report alone."""
    with mock.patch.object(artifact, "_write_graph", return_value="left out"):
        yield


@contextmanager
def whole() -> Iterator[None]:
    """Write both again, inside `bare`."""
    graph, page = WRITERS
    with mock.patch.object(artifact, "_write_graph", graph), mock.patch.object(report, "write", page):
        yield


if __name__ == "__main__":
    with bare():
        cli.main()
