"""Plugins that were set aside: each is told once, on stderr, with its fault and what to do."""

from __future__ import annotations

import os
import sys

from benchdog import api
from benchdog.errors import Failed
from benchdog.plugins import compat, import_timeout
from benchdog.plugins.types import Fault

DEAF = "It hears no more events; the run goes on."


def strict() -> bool:
    """Say whether faults of plugins are to be raised."""
    return os.environ.get("BENCHDOG_STRICT") == "1"


class Quarantine:
    """The faults of this process's plugins; BENCHDOG_STRICT=1 raises them instead."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self.raised: BaseException | None = None

    def refuse(self, name: str, fault: str, remedy: str, error: BaseException, dist: str = "") -> None:
        """Set a plugin aside for an error; for one that takes too long the fault and the remedy are other ones."""
        if isinstance(error, KeyboardInterrupt) or strict():
            raise error
        late = isinstance(error, import_timeout.ImportTimeout)
        if late:
            fault = f"{error}."
            remedy = (
                f"Tell the author of {dist or name} to do that where it is used; BENCHDOG_PATIENCE=60 waits longer."
            )
            import_timeout.leave_out(name)
        self.tell(Fault(name=name, fault=" ".join(fault.split()), remedy=remedy, late=late))

    def refuse_contract(self, name: str, number: object, whose: str) -> bool:
        """Set a plugin aside whose contract isn't taken; say whether it was."""
        wrong = compat.objection(number, api.CONTRACT, whose)
        if wrong:
            self.refuse(name, f"{wrong[0]}.", wrong[1], Failed(f"Plugin {name!r} {wrong[0]}.", wrong[1]))
        return wrong is not None

    def silence(self, name: str, fault: str, error: BaseException | None, remedy: str = DEAF) -> None:
        """Tell of a plugin whose event handler failed, and hears no more, or was too slow."""
        self.tell(Fault(name=name, fault=fault, remedy=remedy))
        self.raised = self.raised or error

    def tell(self, fault: Fault) -> None:
        """Note a fault and print it."""
        self.faults.append(fault)
        print(f"benchdog: {fault}", file=sys.stderr, flush=True)
