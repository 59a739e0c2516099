"""Fixtures: Benchdog as a user meets it, in a subprocess with a home, a cache and a runs folder of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import published_schemas

os.environ.setdefault("OMP_NUM_THREADS", "1")
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # a job in the background; children would inherit it
    with suppress(ValueError):  # not the main thread
        signal.signal(signal.SIGINT, signal.default_int_handler)
SHARED = Path(__file__).resolve().parents[1].parent / "shared"


@dataclass(frozen=True)
class Result:
    """What a command printed and how it ended."""

    out: str
    err: str
    code: int

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        """Give the JSON lines of `train --json`: events, the result last."""
        return [json.loads(line) for line in self.out.splitlines()]


Bench = Callable[..., Result]


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give the whole suite a home of its own."""
    place = tmp_path_factory.mktemp("home")
    mine = {
        "HOME": str(place),
        "USERPROFILE": str(place),
        "BENCHDOG_CACHE": str(place / "cache"),
        "XDG_CACHE_HOME": str(place / "xdg"),
        "MPLCONFIGDIR": str(place / "mpl"),
        "NO_COLOR": "1",
        "BENCHDOG_PLUGINS": "-tensorboard,-mlflow",  # they would watch each of the runs here
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
    """Keep every test away from the user's own files."""


def run_bench(
    *args: object, cwd: Path, env: dict[str, str] | None = None, code: int | None = 0, stdin: str = ""
) -> Result:
    """Run `benchdog ...` in a subprocess; `code` is the exit code that it must have, None for any."""
    full = {**os.environ, "PYTHONWARNINGS": "error::DeprecationWarning:benchdog", **(env or {})}
    done = subprocess.run(
        [sys.executable, "-m", "benchdog", *map(str, args)],
        cwd=cwd,
        env=full,
        input=stdin,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
    )
    result = Result(done.stdout, done.stderr, done.returncode)
    assert code is None or result.code == code, f"exit {result.code}\n{result.out}\n{result.err}"
    assert "Traceback" not in result.err, result.err
    published_schemas.check(args, result.out)
    return result


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Run commands in a fresh working folder (tmp_path), where runs/ appears."""

    def run(*args: object, cwd: Path | None = None, **more: Any) -> Result:
        return run_bench(*args, cwd=cwd or tmp_path, **more)

    return run


@pytest.fixture(scope="session")
def digits_run(tmp_path_factory: pytest.TempPathFactory, home: Path) -> Path:
    """Give a finished run on the bundled digits; read it, don't change it."""
    place = tmp_path_factory.mktemp("digits")
    run_bench("train", "digits", "--epochs", 4, "--name", "digits", "--quiet", cwd=place)
    return place / "runs" / "digits"


@pytest.fixture(scope="session")
def shared() -> Path:
    """Give the folder of real inputs beside the project, where there is one."""
    if not (SHARED / "data").is_dir():
        pytest.skip("the folder of real inputs is not here")
    return SHARED
