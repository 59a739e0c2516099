"""Disabled plugins: each is reported once, on stderr, with its fault and how to fix it."""

from __future__ import annotations

import os

from benchdog import api
from benchdog.errors import Failed
from benchdog.plugins import compat, import_timeout
from benchdog.plugins.types import Fault
from benchdog.system import terminal

DISABLED = "It gets no more events; the run continues."


def strict() -> bool:
    """Whether faults of plugins are raised (BENCHDOG_STRICT=1)."""
    return os.environ.get("BENCHDOG_STRICT") == "1"


class Crashed(Exception):
    """A plugin ended the process in which it was loaded on trial."""


class Quarantine:
    """The faults of this process's plugins; BENCHDOG_STRICT=1 raises them instead."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self.raised: BaseException | None = None

    def refuse(self, name: str, fault: str, remedy: str, error: BaseException, dist: str = "") -> None:
        """Disable a plugin because of an error; for a timeout, fault and remedy are replaced by its own."""
        if isinstance(error, KeyboardInterrupt) or strict():
            raise error
        if isinstance(error, Crashed):
            fault = f"can't be loaded: the process that tried it {error}."
            remedy = f"{remedy} `benchdog doctor` tries it again."
            import_timeout.leave_out(name)
        late = isinstance(error, import_timeout.ImportTimeout)
        if late:
            fault = f"{error}."
            remedy = (
                f"Ask the author of {dist or name} to defer it until it is used; BENCHDOG_PATIENCE=60 waits longer."
            )
            import_timeout.leave_out(name)
        self.report(Fault(name=name, fault=" ".join(fault.split()), remedy=remedy, late=late))

    def refuse_contract(self, name: str, number: object, whose: str) -> bool:
        """Disable a plugin whose contract is not supported; return whether it was disabled."""
        wrong = compat.objection(number, api.CONTRACT, whose)
        if wrong:
            self.refuse(name, f"{wrong[0]}.", wrong[1], Failed(f"Plugin {name!r} {wrong[0]}.", wrong[1]))
        return wrong is not None

    def silence(self, name: str, fault: str, error: BaseException | None, remedy: str = DISABLED) -> None:
        """Report a plugin whose event handler failed or was too slow."""
        self.report(Fault(name=name, fault=fault, remedy=remedy))
        self.raised = self.raised or error

    def report(self, fault: Fault) -> None:
        """Record a fault and print it."""
        self.faults.append(fault)
        terminal.show(f"benchdog: {fault}")
