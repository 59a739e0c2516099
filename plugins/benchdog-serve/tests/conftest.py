"""Fixtures: a served double, and a trained run in a folder of its own."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parent))  # for the helpers beside this file

from serve_doubles import Client, Double, run

from benchdog_serve.app import Limits, Service
from support.bare import bare


@pytest.fixture
def serving() -> Iterator[Callable[..., Client]]:
    """Give a function that serves a double: serving("image", body=1000)."""
    made: list[Service] = []

    def make(way: str, *, hosts: list[str] | None = None, max_batch: int = 64, **limits: Any) -> Client:
        service = Service(Double(way, max_batch=max_batch), Limits(**limits))  # type: ignore[arg-type]
        made.append(service)
        return Client(service, hosts)

    yield make
    for service in made:
        service.model.gate.set()  # type: ignore[attr-defined]
        service.close()


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a working folder with a home and a cache of its own, where runs/ appears."""
    return tmp_path_factory.mktemp("serve")


@pytest.fixture(scope="session")
def digits(place: Path) -> Path:
    """Give a finished run on the bundled digits."""
    with bare():
        run("train", "digits", "--epochs", 2, "--name", "digits", "--quiet", place=place)
    return place / "runs" / "digits"
