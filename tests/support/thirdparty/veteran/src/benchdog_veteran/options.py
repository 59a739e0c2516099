"""Options of the trainer."""

from dataclasses import dataclass
from typing import Annotated

from benchdog.api import Bounds, Doc


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of the trainer."""

    rate: Annotated[float, Doc("Learning rate."), Bounds(gt=0)] = 0.1
    rest: Annotated[int, Doc("Steps without updates, at the end."), Bounds(ge=0)] = 0
