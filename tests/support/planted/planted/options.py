"""Options with faults."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from benchdog.api import Bounds, Doc

SUMMARY = "Planted."
OPTIONS = {"undocumented": "Undocumented", "out-of-bounds": "OutOfBounds", "no-dataclass": "NoDataclass"}


@dataclass(frozen=True, kw_only=True)
class Undocumented:
    count: int = 3


@dataclass(frozen=True, kw_only=True)
class OutOfBounds:
    count: Annotated[int, Doc("How many."), Bounds(ge=1)] = 0


class NoDataclass:
    count = 3


@dataclass(frozen=True, kw_only=True)
class Rate:
    rate: Annotated[float, Doc("Samples per second.")] = 8000.0


@dataclass(frozen=True, kw_only=True)
class Required:
    table: Annotated[Path, Doc("A file with a number in each line.")]


@dataclass(frozen=True, kw_only=True)
class Path_:
    path: Annotated[Path | None, Doc("A file.")] = None


@dataclass(frozen=True, kw_only=True)
class Sound:
    count: Annotated[int, Doc("How many."), Bounds(ge=1)] = 3
    names: Annotated[tuple[str, ...], Doc("Of what.")] = ("a", "b")
