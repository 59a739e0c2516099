"""Options of the source; they import nothing heavy."""

from dataclasses import dataclass
from typing import Annotated

from benchdog.api import Bounds, Doc


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """Options of my-thing."""

    samples: Annotated[int, Doc("How many stars."), Bounds(ge=20)] = 600
    spread: Annotated[float, Doc("How much stars of a kind differ."), Bounds(gt=0)] = 0.5
