"""Options of the model; this module imports nothing heavy."""

from dataclasses import dataclass
from typing import Annotated

from benchdog.api import Bounds, Doc


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """Options of tiny-net."""

    width: Annotated[int, Doc("Hidden units."), Bounds(ge=1)] = 64
