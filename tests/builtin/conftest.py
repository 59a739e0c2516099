"""Fixtures for the tests of built-in components."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from benchdog.api import Spec
from support.source_contract import check_source


@pytest.fixture
def check() -> Callable[..., Spec]:
    """Return the function that checks the contract of every source."""
    return check_source
