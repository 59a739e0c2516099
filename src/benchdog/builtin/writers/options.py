"""Options of the writers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from benchdog.api import Bounds, Doc


@dataclass(frozen=True, kw_only=True, slots=True)
class JpegOptions:
    """Options of the writer `jpeg`."""

    quality: Annotated[int, Doc("Quality: larger files lose less."), Bounds(ge=1, le=100)] = 90
