"""Options of the trainer; this module imports nothing heavy."""

from dataclasses import dataclass
from typing import Annotated

from benchdog.api import Bounds, Doc


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """Options of my-thing."""

    lr: Annotated[float, Doc("Learning rate."), Bounds(gt=0)] = 0.05
    momentum: Annotated[float, Doc("Momentum factor of SGD."), Bounds(ge=0, lt=1)] = 0.9
