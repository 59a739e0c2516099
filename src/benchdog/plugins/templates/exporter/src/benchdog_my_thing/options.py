"""Options of the exporter; this module imports nothing heavy."""

from dataclasses import dataclass
from typing import Annotated

from benchdog.api import Bounds, Doc


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """Options of my-thing."""

    level: Annotated[int, Doc("Compression level."), Bounds(ge=0, le=9)] = 6
