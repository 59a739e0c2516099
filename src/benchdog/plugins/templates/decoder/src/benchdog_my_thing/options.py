"""Parameters of the decode operation, JSON in artifacts; this module imports nothing heavy."""

from dataclasses import dataclass
from typing import Annotated

from benchdog.api import Bounds, Doc


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """Parameters of my-thing."""

    rate: Annotated[int, Doc("Sampling rate in Hz; others are refused. 0: any."), Bounds(ge=0)] = 0
    channels: Annotated[int, Doc("Number of channels; others are refused."), Bounds(ge=1)] = 1
    length: Annotated[int, Doc("Cut or pad with silence to this length. 0: as it is."), Bounds(ge=0)] = 0
