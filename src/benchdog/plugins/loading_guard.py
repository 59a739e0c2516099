"""What surrounds the loading of third-party plugins: trials, crash log, streams aside, the process's global state."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext

from benchdog.plugins import trial_load
from benchdog.plugins.crash_log import TWICE, CrashLog
from benchdog.plugins.global_state import GlobalState, changed
from benchdog.plugins.import_timeout import ImportTimeout
from benchdog.plugins.quarantine import Crashed, Quarantine
from benchdog.plugins.streams_aside import Spoken, aside
from benchdog.plugins.types import Fault, RegisteredComponent
from benchdog.system import exits

ADVICE = "A plugin must leave the whole process as it is: ask the author of {} to undo it, or not to do it."
NEED_TORCH = frozenset({"model", "task", "trainer", "augmentation", "backend"})
"""Kinds of component that are only built where torch is needed anyway."""


class LoadingGuard:
    """Guards the loading of a process's plugins.

    Args:
        quarantine: gets the faults.
        patience: time limit of an import in seconds; None in child processes, where nothing is tried or remembered.
        everything: try all plugins in a process of their own, not only new and suspected ones.
    """

    def __init__(self, quarantine: Quarantine, patience: float | None, everything: bool) -> None:
        self._quarantine, self._patience, self._everything = quarantine, patience, everything
        self._log = CrashLog() if patience is not None else None
        self._refused: dict[str, BaseException] = {}
        self._out: set[str] = set()
        self._spoken = Spoken()

    def try_out(self, installed: Mapping[str, str], local: Mapping[str, str]) -> None:
        """Load plugins that aren't known in a process of their own.

        Args:
            installed: {module: its file}; new and changed ones are tried.
            local: the same for local files, which are tried only when a start ended while they were loaded: they may
                import torch, which takes seconds.
        """
        if self._log is None or self._patience is None:
            return
        self._log.collect()
        chosen: dict[str, str] = {}
        for name, file in installed.items():
            if name in sys.modules or not file:
                continue
            if (how := self._log.ended(file)) and not self._everything:
                self._refused[name] = Crashed(how)
                self._out.add(file)
            elif self._everything or not self._log.known(file):
                chosen[name] = file
        chosen |= {name: file for name, file in local.items() if self._log.suspicions(file) or self._log.ended(file)}
        found = trial_load.tried(list(chosen), self._patience) if chosen else {}
        for name, file in chosen.items():
            self._judge(name, file, found.get(name, ""))
            if name in self._refused:
                self._out.add(file)
        self._log.save()

    def _judge(self, name: str, file: str, finding: str) -> None:
        assert self._log is not None
        suspicions = self._log.suspicions(file)
        if finding.startswith(trial_load.LATE):
            self._refused[name] = ImportTimeout(finding)
        elif finding and not finding.startswith(trial_load.RAISES):
            self._log.record(file, ended=finding)
            self._refused[name] = Crashed(finding)
        elif suspicions >= TWICE and not self._everything:
            self._refused[name] = Crashed(f"is well, but {suspicions} commands ended while they loaded it")

    def refused(self, name: str) -> BaseException | None:
        """Return why a plugin is not to be loaded in this process; None if it may be."""
        return self._refused.get(name)

    @contextmanager
    def loading(self) -> Iterator[None]:
        """Set the streams aside while plugins are loaded, and let none end the process."""
        with ExitStack() as stack:
            stack.enter_context(exits.guarded())
            self._spoken = stack.enter_context(aside(descriptors=self._patience is not None))
            noting = self._log.loading() if self._log is not None else nullcontext(_note_nothing)
            self._note = stack.enter_context(noting)
            self._state = GlobalState()
            yield
        if self._log is not None:
            self._log.save()

    def begin(self, file: str) -> None:
        """Note whose code runs next."""
        self._note(file)

    def end(self, file: str) -> list[str]:
        """Undo what a plugin's code has changed; return what could not be undone, and report the rest.

        Raises nothing; `report` names the plugin.
        """
        if self._log is not None and file not in self._out:
            self._log.record(file)
        self._restored, left = self._state.undo()
        if left:
            self._state = GlobalState()
        return left

    def report(self, name: str, dist: str) -> None:
        """Report what the plugin whose code ran last has changed or printed."""
        if self._restored:
            self._quarantine.report(
                Fault(name=name, fault=f"{changed(self._restored)} at import.", remedy=ADVICE.format(dist or name))
            )
        if printed := self._spoken.taken():
            remedy = f"Ask the author of {dist or name} to use the logging module: a command's stdout is its result."
            self._quarantine.report(Fault(name=name, fault=f"prints at import: {printed!r}.", remedy=remedy))


def _note_nothing(file: str) -> None:
    """Note nothing: this process remembers nothing."""


@contextmanager
def component_watched(found: RegisteredComponent, quarantine: Quarantine, *, drawing: bool = False) -> Iterator[None]:
    """Undo and report what a third-party component changes when it is imported and built.

    Args:
        found: the component.
        quarantine: gets the fault.
        drawing: it may draw random numbers, as a model does for its weights.
    """
    if found.info.kind in NEED_TORCH:
        import torch.nn.functional
        import torch.optim  # noqa: F401 -- else nobody knows what it was before
    state = GlobalState(drawing=drawing)
    try:
        yield
    finally:
        restored, left = state.undo()
        if restored or left:
            text = changed(restored) if restored else "leaves behind"
            text += f"{' and leaves behind ' if restored else ' '}{', '.join(left)}" if left else ""
            fault = f"its {found.info.kind} {found.info.name!r} {text}."
            quarantine.report(Fault(name=found.plugin, fault=fault, remedy=ADVICE.format(found.dist or found.plugin)))
