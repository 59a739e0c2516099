"""Which checks there are for each kind, in the order in which they are made; their code is imported later."""

from __future__ import annotations

from benchdog.errors import BadUsage, nearest

PLUGIN = ("import", "hooks", "names")
"""What is asked of the plugin as a whole, without importing any component."""
FIRST, LAST = ("options", "target"), ("prints", "files")
"""What is asked of every component, before and after all else."""

OWN: dict[str, tuple[str, ...]] = {
    "source": ("opens", "spec", "repeats", "rebuilds"),
    "model": ("builds", "output", "batches", "rebuilds"),
    "task": (),
    "trainer": (),
    "exporter": (),
    "backend": (),
    "augmentation": (),
}
"""What is asked of components of each kind: a function of that name in `benchdog.testing.<kind>s`."""
OBSERVER: tuple[str, ...] = ()
COMMAND: tuple[str, ...] = ()


def checks_of(kind: str) -> tuple[str, ...]:
    """Name the checks for a kind, those of its plugin first.

    Raises:
        BadUsage: there is no such kind.
    """
    return (*PLUGIN, *component_checks(kind))


def component_checks(kind: str) -> tuple[str, ...]:
    """Name the checks for a component of a kind."""
    if kind == "observer":
        return (*OBSERVER, *LAST)
    if kind == "command":
        return (*COMMAND, *LAST)
    if kind not in OWN:
        raise BadUsage(f"There is no kind {kind!r} of component.", nearest(kind, [*OWN, "observer", "command"]))
    return (*FIRST, *OWN[kind], *LAST)
