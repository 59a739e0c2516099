"""What a resolver decided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """Values of the recipe by dotted key, and why.

    Attributes:
        values: {"loop.batch_size": 96}.
        note: a sentence that a person should read; "" for none.
        log: the same for the run's log.
    """

    values: Mapping[str, Any]
    note: str = ""
    log: str = ""
