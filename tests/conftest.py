"""Fixtures: run Benchdog with a separate home, cache and runs folder."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: bits depend on the number of threads

from support.bare import bare, whole
from support.command import Bench, Result, run_bench
from support.fitted_once import fitted_once
from support.in_process import run

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # a job in the background; children would inherit it
    with suppress(ValueError):  # not the main thread
        signal.signal(signal.SIGINT, signal.default_int_handler)
FIRST = (
    "test_conda.py", "test_doc_commands.py", "test_kill_drill.py", "test_plugins_new.py",
    "test_tune.py", "test_eject.py", "test_mlflow.py", "test_serve_command.py", "test_ranks.py",
)  # fmt: skip
"""The test files that take longest, longest first; then those with long set-ups."""
SHARED = Path(__file__).resolve().parents[1].parent / "shared"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with these files: at the end, other processes would wait for them, or repeat their set-ups."""
    items.sort(key=lambda item: FIRST.index(item.path.name) if item.path.name in FIRST else len(FIRST))


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Set up a separate home for the whole test suite."""
    place = tmp_path_factory.mktemp("home")
    mine = {
        "HOME": str(place),
        "USERPROFILE": str(place),
        "BENCHDOG_CACHE": str(place / "cache"),
        "BENCHDOG_STATE": str(place / "state"),
        "XDG_CACHE_HOME": str(place / "xdg"),
        "MPLCONFIGDIR": str(place / "mpl"),
        "NO_COLOR": "1",
        "BENCHDOG_PLUGINS": "-tensorboard,-mlflow",  # they would track every run
    }
    before = {key: os.environ.get(key) for key in mine}
    os.environ.update(mine)
    yield place
    for key, value in before.items():
        if value is None:
            os.environ.pop(key, None)
        else:
            os.environ[key] = value


@pytest.fixture(scope="session", autouse=True)
def _at_home(home: Path) -> None:
    """Isolate every test from the user's files."""


@pytest.fixture(scope="session", autouse=True)
def _baselines_fitted_once() -> Iterator[None]:
    """Fit the baselines of equal data once."""
    with fitted_once():
        yield


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Run commands in this process, in a fresh working folder (tmp_path), where runs/ appears."""

    def in_folder(*args: object, cwd: Path | None = None, **more: Any) -> Result:
        return run(*args, cwd=cwd or tmp_path, **more)

    return in_folder


@pytest.fixture
def process(tmp_path: Path) -> Bench:
    """Run commands in separate processes, for tests of startup, signals and environment."""

    def in_folder(*args: object, cwd: Path | None = None, **more: Any) -> Result:
        return run_bench(*args, cwd=cwd or tmp_path, **more)

    return in_folder


@pytest.fixture(scope="module")
def weights_alone() -> Iterator[None]:
    """Let the trainings of a module write neither graph nor report: for modules that read neither."""
    with bare():
        yield


@pytest.fixture
def graph_and_report(weights_alone: None) -> Iterator[None]:
    """Let the trainings of a test write them, in a module of which the others don't."""
    with whole():
        yield


@pytest.fixture(scope="session")
def digits_run(tmp_path_factory: pytest.TempPathFactory, home: Path) -> Path:
    """Return a finished run on the bundled digits; read it, don't change it."""
    place = tmp_path_factory.mktemp("digits")
    run("train", "digits", "--epochs", 4, "--name", "digits", "--quiet", cwd=place)
    return place / "runs" / "digits"


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of real inputs next to the project, or skip the test without one."""
    if not (SHARED / "data").is_dir():
        pytest.skip("the folder of real inputs is not here")
    return SHARED
