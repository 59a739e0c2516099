"""Fixtures: a client of a served test double, and a trained run in its own folder."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parent))  # for the helpers next to this file

from serve_doubles import Client, Double, run

from benchdog_serve.app import Limits, Service
from support.bare import bare


@pytest.fixture
def make_client() -> Iterator[Callable[..., Client]]:
    """Return a function that serves a test double: make_client("image", body=1000)."""
    services: list[Service] = []

    def make(
        variant: str,
        *,
        hosts: list[str] | None = None,
        origins: list[str] | None = None,
        root: str = "",
        max_batch: int = 64,
        **limits: Any,
    ) -> Client:
        service = Service(Double(variant, max_batch=max_batch), Limits(**limits))  # type: ignore[arg-type]
        services.append(service)
        return Client(service, hosts, origins=origins or [], root=root)

    yield make
    for service in services:
        service.model.gate.set()  # type: ignore[attr-defined]
        service.close()


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a working folder with its own home and cache; runs are saved to its runs/."""
    return tmp_path_factory.mktemp("serve")


@pytest.fixture(scope="session")
def digits(place: Path) -> Path:
    """Return the folder of a finished run on the bundled digits."""
    with bare():
        run("train", "digits", "--epochs", 2, "--name", "digits", "--quiet", place=place)
    return place / "runs" / "digits"
