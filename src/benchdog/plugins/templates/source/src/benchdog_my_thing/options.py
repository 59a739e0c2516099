"""Options of the source; this module imports nothing heavy."""

from dataclasses import dataclass
from typing import Annotated

from benchdog.api import Bounds, Doc


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """Options of my-thing."""

    samples: Annotated[int, Doc("Number of stars."), Bounds(ge=20)] = 600
    spread: Annotated[float, Doc("Standard deviation within a class."), Bounds(gt=0)] = 0.5
