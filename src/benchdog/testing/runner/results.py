"""What a check finds: all is well, a fault with its remedy, or a reason for not looking."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

State = Literal["ok", "fault", "skipped"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What one check says of one component."""

    kind: str
    name: str
    check: str
    state: State
    found: str = ""
    where: str = ""
    remedy: str = ""
    seconds: float = 0.0

    def __str__(self) -> str:
        head = f"{self.kind} {self.name}, {self.check}: {self.found}"
        return "\n".join([head, *(f"  {line}" for line in (self.where, self.remedy) if line)])

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return asdict(self)


class Fault(Exception):
    """A component does what it mustn't, or lacks what it needs.

    Args:
        found: what was seen, one sentence.
        remedy: what its author does about it.
        where: the place in its code, if that is known.
    """

    def __init__(self, found: str, remedy: str, where: str = "") -> None:
        super().__init__(found)
        self.found, self.remedy, self.where = found, remedy, where


class Skip(Exception):
    """A check can't be made here, or means nothing for this component."""
