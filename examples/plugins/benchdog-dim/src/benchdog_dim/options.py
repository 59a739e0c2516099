"""Options of the augmentation; this module imports nothing heavy."""

from dataclasses import dataclass
from typing import Annotated

from benchdog.api import Bounds, Doc


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """Options of dim."""

    least: Annotated[float, Doc("Smallest factor."), Bounds(ge=0, le=1)] = 0.5
