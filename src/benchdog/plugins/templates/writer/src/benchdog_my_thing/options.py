"""Options of the writer; this module imports nothing heavy."""

from dataclasses import dataclass
from typing import Annotated

from benchdog.api import Doc


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """Options of my-thing."""

    visible: Annotated[bool, Doc("Spread the class codes from black to white.")] = False
