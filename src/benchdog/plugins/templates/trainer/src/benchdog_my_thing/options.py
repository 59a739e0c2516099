"""Options of the trainer; they import nothing heavy."""

from dataclasses import dataclass
from typing import Annotated

from benchdog.api import Bounds, Doc


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """Options of my-thing."""

    lr: Annotated[float, Doc("Learning rate."), Bounds(gt=0)] = 0.05
    momentum: Annotated[float, Doc("How much of the last step goes on."), Bounds(ge=0, lt=1)] = 0.9
