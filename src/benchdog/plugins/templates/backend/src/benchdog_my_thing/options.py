"""Options of the backend; this module imports nothing heavy."""

from dataclasses import dataclass
from typing import Annotated

from benchdog.api import Bounds, Doc


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """Options of my-thing."""

    threads: Annotated[int, Doc("Number of torch threads."), Bounds(ge=1)] = 1
